"""The monitor in a plain PyTorch loop: SimSiam without its stop-gradient on handwritten digits, named before the run ends.

python examples/plain_loop.py                  # half a minute on one core
python examples/plain_loop.py --stop-gradient  # the healthy twin: no warning
"""

from __future__ import annotations

import argparse

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from collapselab.monitor import CollapseMonitor


def network() -> tuple[nn.Module, nn.Module]:
    """Encoder with projector, and predictor."""
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Linear(256, 64))
    predictor = nn.Sequential(nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 64))
    return encoder, predictor


def view(images: Tensor) -> Tensor:
    """A shift by up to a pixel, and noise."""
    dx, dy = torch.randint(-1, 2, (2,)).tolist()
    return images.roll((dx, dy), (1, 2)) + 0.2 * torch.randn_like(images)


def train(stop_gradient: bool, steps: int = 300, seed: int = 0) -> CollapseMonitor:
    torch.manual_seed(seed)
    images = torch.from_numpy(load_digits().images).float() / 16
    encoder, predictor = network()
    optimiser = torch.optim.SGD([*encoder.parameters(), *predictor.parameters()], lr=0.2, momentum=0.9)
    monitor = CollapseMonitor("embedding")
    for step in range(steps):
        batch = images[torch.randint(len(images), (128,))]
        z1, z2 = encoder(view(batch)), encoder(view(batch))
        t1, t2 = (z1.detach(), z2.detach()) if stop_gradient else (z1, z2)
        loss = -(F.cosine_similarity(predictor(z1), t2) + F.cosine_similarity(predictor(z2), t1)).mean() / 2
        # What the loss sees: cosines have no length, and a collapse may hide in a common offset that only grows.
        monitor.update(F.normalize(z1), view=F.normalize(z2), loss=loss)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 50 == 49:
            found = monitor.compute()
            told = {
                name: round(found[name], 3) for name in ("normalised_std", "effective_rank", "log_trace", "pressure")
            }
            print(step, f"loss {loss:.3f}", told)
    return monitor


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stop-gradient", action="store_true")
    print(train(parser.parse_args().stop_gradient).report())
