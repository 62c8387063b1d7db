"""The monitor beside a model of the lightly library: DINO's head taught by itself, without any of DINO's guards.

    pip install '.[examples]'
    python examples/lightly_model.py

Teacher and student are one network, and gradients reach both: cross-entropy is least where all mass lies on one prototype,
whatever the image. The monitor reads the logits at the loss's own temperature, and names it.
"""

from __future__ import annotations

import torch
from lightly.models.modules.heads import DINOProjectionHead
from sklearn.datasets import load_digits
from torch import Tensor, nn

from collapselab.monitor import CollapseMonitor

TEMPERATURE = 0.1


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128))
        self.head = DINOProjectionHead(128, 128, 64, 64, batch_norm=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Representation [N, 128] and logits [N, 64]."""
        representation = self.backbone(images)
        return representation, self.head(representation)


def train(steps: int = 100, seed: int = 0) -> CollapseMonitor:
    torch.manual_seed(seed)
    images = torch.from_numpy(load_digits().images).float() / 16
    model = Model()
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    monitor = CollapseMonitor("backbone", temperature=TEMPERATURE)
    for _ in range(steps):
        batch = images[torch.randint(len(images), (128,))]
        representation, student = model(batch + 0.2 * torch.randn_like(batch))
        _, teacher = model(batch + 0.2 * torch.randn_like(batch))
        p = (teacher / TEMPERATURE).softmax(1)
        loss = -(p * (student / TEMPERATURE).log_softmax(1)).sum(1).mean()
        entropy = -torch.special.xlogy(p, p).sum(1).mean()
        monitor.update(representation, logits=student, loss={"loss": loss, "teacher_entropy": entropy})
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return monitor


if __name__ == "__main__":
    print(train().report())
