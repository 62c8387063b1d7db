"""The monitor in a Lightning module: VICReg on digits without its variance term, stopped when the monitor names the collapse.

pip install '.[examples]'
python examples/lightning_module.py
"""

from __future__ import annotations

import lightning
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from collapselab.monitor import CollapseMonitor


class VICReg(lightning.LightningModule):
    """Two noisy views, one encoder; `variance` is the weight that keeps the embedding from collapse."""

    def __init__(self, variance: float = 25.0) -> None:
        super().__init__()
        self.variance = variance
        self.encoder = nn.Sequential(
            nn.Linear(64, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 32)
        )
        self.monitor = CollapseMonitor("embedding")  # a submodule: it moves with the model and holds no parameter

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        (images,) = batch
        z1, z2 = (self.encoder(images + 0.3 * torch.randn_like(images)) for _ in range(2))
        variance = sum(F.relu(1 - z.std(0)).mean() for z in (z1, z2))
        covariance = sum((torch.cov(z.T) ** 2).fill_diagonal_(0).sum() / z.shape[1] for z in (z1, z2))
        loss = 25 * F.mse_loss(z1, z2) + self.variance * variance + 10 * covariance
        self.monitor.update(z1, view=z2, loss={"loss": loss, "variance": variance, "covariance": covariance})
        return loss

    def on_train_batch_end(self, outputs: object, batch: object, index: int) -> None:
        # In `compute` ranks exchange their sums, so all of them call it, and all see the same number of alarms.
        if self.global_step % 50 == 0:
            found = self.monitor.compute()
            self.log_dict({f"monitor/{name}": value for name, value in found.items()})
            self.trainer.should_stop = found["alarms"] > 0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


def train(variance: float, steps: int = 400, seed: int = 0) -> VICReg:
    lightning.seed_everything(seed, verbose=False)
    images = torch.from_numpy(load_digits().data).float() / 16
    loader = DataLoader(TensorDataset(images), batch_size=128, shuffle=True, drop_last=True)
    trainer = lightning.Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    model = VICReg(variance)
    trainer.fit(model, loader)
    return model


if __name__ == "__main__":
    model = train(variance=0.0)
    print(f"stopped after step {model.trainer.global_step}")
    print(model.monitor.report())
