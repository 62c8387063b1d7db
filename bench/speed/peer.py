"""The founding notebook's loop, as its user has it: the peer of our training step and of our augmentation.

Per-image PIL transforms in two DataLoaders with two workers each, nn.MultiheadAttention with its defaults on three LayerNorm
calls, the head on all 65 tokens, nn.Dropout, AdamW, float32, batches of 128.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

MEAN, STD = np.array([0.4914, 0.4822, 0.4465]), np.array([0.2023, 0.1994, 0.2010])
BATCH = 128

light = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
strong = transforms.Compose(
    [
        transforms.RandomResizedCrop(32, scale=(0.8, 1.0)),
        transforms.RandomHorizontalFlip(),
        transforms.RandomRotation(15),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
        transforms.RandomErasing(p=1, scale=(0.4, 0.5), ratio=(0.3, 3.3), value=0),
    ]
)


class Images(Dataset[Tensor]):
    """As torchvision's CIFAR10 class: an array [N, 32, 32, 3] uint8, each image made a PIL image when it is asked for."""

    def __init__(self, data: np.ndarray, transform: transforms.Compose) -> None:
        self.data, self.transform = data, transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Tensor:
        view: Tensor = self.transform(Image.fromarray(self.data[index]))
        return view


def loaders(data: np.ndarray) -> tuple[DataLoader[Tensor], DataLoader[Tensor]]:
    """The teacher's and the student's."""
    return (
        DataLoader(Images(data, light), batch_size=BATCH, shuffle=False, num_workers=2),
        DataLoader(Images(data, strong), batch_size=BATCH, shuffle=False, num_workers=2),
    )


class Block(nn.Module):
    def __init__(self, width: int, heads: int, mlp: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, mlp), nn.GELU(), nn.Dropout(dropout), nn.Linear(mlp, width), nn.Dropout(dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x), self.norm1(x), self.norm1(x))[0]
        return x + self.mlp(self.norm2(x))


class Network(nn.Module):
    """ViT of patch 4, width 256, depth 6, and the head on every token."""

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 256, 4, stride=4)
        self.cls = nn.Parameter(torch.randn(1, 1, 256))
        self.positions = nn.Parameter(torch.randn(1, 65, 256))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(Block(256, 4, 1024, dropout) for _ in range(6)))
        self.norm = nn.LayerNorm(256)
        self.head = nn.Sequential(
            nn.Linear(256, 2048),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(2048, 2048),
            nn.Dropout(dropout),
            nn.Linear(2048, 128),
        )

    def forward(self, images: Tensor) -> Tensor:
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], dim=1) + self.positions
        tokens: Tensor = self.head(self.norm(self.blocks(self.dropout(x))))
        return tokens


def cross_entropy(teacher: Tensor, student: Tensor) -> Tensor:
    """Of the patch tokens, the CLS token dropped; mean over tokens and images."""
    target, log_student = F.softmax(teacher[:, 1:], dim=-1), F.log_softmax(student[:, 1:], dim=-1)
    return -(target * log_student).sum(-1).mean()


def train(data: np.ndarray, regime: str, device: str = "cpu") -> Iterator[float]:
    """The loss of one step after the other, for ever; regime "both" or "frozen"."""
    torch.manual_seed(42)
    student, teacher = Network().to(device), Network().to(device)
    trained = list(student.parameters())
    if regime == "both":
        trained += list(teacher.parameters())
    optimiser = torch.optim.AdamW(trained, lr=1e-3)
    while True:
        for clean, augmented in zip(*loaders(data), strict=True):
            with torch.set_grad_enabled(regime == "both"):
                taught = teacher(clean.to(device))
            loss = cross_entropy(taught, student(augmented.to(device)))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            yield loss.item()
