"""What the monitor costs beside a step of ResNet-18, in CPU seconds of one thread; a minute.

    python -m bench.monitor.cost      # prints the section that `python -m bench.monitor` puts into docs/monitor.md

Everything runs in one process, in turns, and is counted in that process's CPU time, in which no waiting for a core is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from bench.detector.page import table
from threadpoolctl import threadpool_limits
from torch import nn

from collapselab.monitor import CollapseMonitor
from collapselab.training.process import prepare

IMAGES, TAKEN, WIDTH, ROUNDS = 512, 64, 2048, 3

TEXT = """\
A training step of ResNet-18 (CIFAR's stem, two views of 32 x 32, projector {width}-{width}-{width}, forward, backward, SGD) and
the monitor at its embedding, {images} x {width} float32 with the second view. CPU seconds of one thread in one process, medians of
{rounds} turns; the step was taken at {taken} images and counted {times} times. Measured on a CPU core; not on a GPU.

{rows}
A reading is judged in the loop's own thread, inside `update`. `compute` decomposes the {width} x {width} covariance on the host:
its time grows with the cube of the width, whatever the batch and the step take. Beside steps of 0.1 s, a call every {apart} steps
is 1 %. Warnings need no `compute`, for `update` gives them: call it once an epoch or so.
"""


@dataclass(frozen=True)
class Cost:
    """CPU seconds.

    Attributes:
        step: of the training step.
        between, reading: of `update`, on a step without a reading and on one with it.
        every: steps from one reading to the next.
        compute: of one call.
        rounds: turns of which these are medians.
    """

    step: float
    between: float
    reading: float
    every: int
    compute: float
    rounds: int

    @property
    def update(self) -> float:
        """Mean over steps."""
        return (self.reading + (self.every - 1) * self.between) / self.every


def network() -> nn.Module:
    from torchvision.models import resnet18  # seconds of imports, for which no page should wait

    backbone: nn.Module = resnet18(num_classes=1)
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


def measure(rounds: int = ROUNDS) -> Cost:
    """Measured here and now; the calling process keeps to one thread."""
    step, monitor = stepping(), CollapseMonitor()
    views = torch.randn(2, 2, IMAGES, WIDTH)

    def update(i: int) -> None:
        monitor.update(views[i % 2][0], view=views[i % 2][1])

    def turn() -> tuple[float, float, float, float]:
        """Step, update with a reading, update without one, compute."""
        took = [seconds(partial(update, i)) for i in range(monitor.every)]
        return seconds(step) * IMAGES / TAKEN, took[0], sum(took[1:]) / len(took[1:]), seconds(monitor.compute)

    turn()  # the first of each allocates and imports
    whole, reading, between, compute = np.median([turn() for _ in range(rounds)], axis=0)
    return Cost(whole, between, reading, monitor.every, compute, rounds)


def text(cost: Cost) -> str:
    """The section of the page."""

    def row(what: str, took: float) -> list[str]:
        return [what, f"{took:.3f}", f"{took / cost.step:.2%}".replace("%", " %")]

    rows = [
        [f"training step at batch {IMAGES}", f"{cost.step:.3f}", ""],
        row("`update` between two readings", cost.between),
        row("`update` that takes a reading", cost.reading),
        row(f"`update`, mean at a reading every {cost.every} steps", cost.update),
        row("`compute`, one call", cost.compute),
    ]
    return TEXT.format(
        width=WIDTH,
        images=IMAGES,
        taken=TAKEN,
        times=IMAGES // TAKEN,
        rounds=cost.rounds,
        rows=table(["what", "CPU seconds", "of the step"], rows),
        apart=math.ceil(cost.compute / (0.01 * 0.1)),
    )


def main() -> None:
    prepare(1)
    with threadpool_limits(1):
        print(text(measure()))


if __name__ == "__main__":
    main()
