"""What the monitor costs beside a step of ResNet-18, in CPU seconds of one thread; a minute or two.

    python -m bench.monitor.cost

The step: ResNet-18 with CIFAR's stem, two views of 32 x 32, a projector 2048-2048-2048, forward, backward and SGD. It is taken
at 64 images and counted as an eighth of 512, to which it is proportional. The monitor: `update` of 512 x 2048 float32 with the
second view, averaged over readings and the steps between them; `compute` apart, for it runs when it is asked. Both in one
process, in turns, by the process's own CPU time: what else the machine does changes neither.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import resnet18

from collapselab.monitor import CollapseMonitor

IMAGES, TAKEN, WIDTH, ROUNDS = 512, 64, 2048, 3


def network() -> nn.Module:
    backbone = resnet18(num_classes=1)
    backbone.conv1, backbone.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    layers: list[nn.Module] = []
    for width in (512, WIDTH):
        layers += [nn.Linear(width, WIDTH, bias=False), nn.BatchNorm1d(WIDTH), nn.ReLU()]
    backbone.fc = nn.Sequential(*layers, nn.Linear(WIDTH, WIDTH))
    return backbone


def stepping() -> Callable[[], object]:
    model = network()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    first, second = torch.randn(2, TAKEN, 3, 32, 32)

    def step() -> None:
        loss = -F.cosine_similarity(model(first), model(second)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def seconds(act: Callable[[], object]) -> float:
    start = time.process_time()
    act()
    return time.process_time() - start


def main() -> None:
    torch.set_num_threads(1)
    step, monitor = stepping(), CollapseMonitor()
    views: list[tuple[Tensor, Tensor]] = [(torch.randn(IMAGES, WIDTH), torch.randn(IMAGES, WIDTH)) for _ in range(2)]

    def updates() -> None:
        for i in range(monitor.every):
            monitor.update(views[i % 2][0], view=views[i % 2][1])

    step(), updates()  # the first of each allocates and imports
    rounds = [(seconds(step) * IMAGES / TAKEN, seconds(updates) / monitor.every) for _ in range(ROUNDS)]
    compute = seconds(monitor.compute)
    whole, own = np.median(np.array(rounds), axis=0)
    print(f"one step at batch {IMAGES}: {whole:.1f} s ({ROUNDS} rounds: {', '.join(f'{a:.1f}' for a, _ in rounds)})")
    print(f"update at {IMAGES} x {WIDTH}, a reading in {monitor.every}: {own:.3f} s, {own / whole:.2%} of the step")
    print(f"compute: {compute:.2f} s; once in 50 steps {compute / 50 / whole:.3%} more")


if __name__ == "__main__":
    main()
