"""lightly's CIFAR-10 benchmark of SimSiam, as its script sets it up, without Lightning around it: the peer on a GPU.

Its ResNet-18, heads, loss and per-image transforms, eight loading processes, SGD, float32. Images come from memory,
where the script opens a file for each.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from bench.speed.peer import Images
from lightly.loss import NegativeCosineSimilarity
from lightly.models import ResNetGenerator
from lightly.models.modules import heads
from lightly.transforms import SimCLRTransform
from torch import nn
from torch.utils.data import DataLoader


class SimSiam(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers = list(ResNetGenerator("resnet-18").children())
        self.backbone = nn.Sequential(*layers[:-1], nn.AdaptiveAvgPool2d(1))
        self.projector = heads.ProjectionHead(
            [
                (512, 2048, nn.BatchNorm1d(2048), nn.ReLU(inplace=True)),
                (2048, 2048, nn.BatchNorm1d(2048), None),
            ]
        )
        self.predictor = heads.SimSiamPredictionHead(2048, 512, 2048)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        projection = self.projector(self.backbone(images).flatten(1))
        return projection.detach(), self.predictor(projection)


def train(data: np.ndarray, batch: int, device: str) -> Iterator[float]:
    """The loss of one step after the other, for ever."""
    model = SimSiam().to(device)
    criterion = NegativeCosineSimilarity()
    optimiser = torch.optim.SGD(model.parameters(), lr=6e-2, momentum=0.9, weight_decay=5e-4)
    transform = SimCLRTransform(input_size=32, gaussian_blur=0.0)
    loader = DataLoader(Images(data, transform), batch_size=batch, shuffle=True, drop_last=True, num_workers=8)
    while True:
        for first, second in loader:
            (z0, p0), (z1, p1) = model(first.to(device)), model(second.to(device))
            loss = 0.5 * (criterion(z0, p1) + criterion(z1, p0))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            yield loss.item()
