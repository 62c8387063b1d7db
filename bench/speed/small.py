"""Steps of the default study's regimes beside the sum of their matrix products, and the threads that were tried."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from collapselab.config.study import Study, load_study
from collapselab.data.augment import Normalisation
from collapselab.data.loader import Batch, Loader
from collapselab.methods import build
from collapselab.training.optimisers import build_optimiser
from collapselab.training.process import prepare

QUICK = Path(__file__).parents[2] / "studies" / "quick.yaml"
REGIMES = ("simsiam", "simclr", "vicreg", "supervised", "notebook-both")
STEPS = 15


@dataclass(frozen=True)
class Small:
    """Milliseconds of a step on one thread and on two, of its augmentation, and of its products alone, on one thread."""

    regime: str
    one: float
    two: float
    augmentation: float
    products: float


def measure() -> list[Small]:
    study = load_study(QUICK)
    prepare(1)
    return [_measure(study, regime) for regime in REGIMES]


def _measure(study: Study, regime: str) -> Small:
    config = study.regimes[regime]
    torch.manual_seed(0)
    method = build(config, study.backbones[config.backbone], 32, 10).train()
    optimiser = build_optimiser(method, config.optimiser)
    images = torch.randint(0, 256, (1024, 3, 32, 32), dtype=torch.uint8)
    loader = Loader(
        images,
        torch.arange(1024) % 10,
        study.augmentations[config.augmentation],
        Normalisation.of([0.5] * 3, [0.25] * 3),
        config.batch_size,
        0,
        shuffle=True,
    )

    def batches() -> Iterator[Batch]:
        while True:
            yield from loader.epoch(0)

    endless = batches()

    def step() -> None:
        loss = method.loss(method(method.views(next(endless))))["loss"]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    times: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(STEPS + 2):
        for threads, taken in times.items():
            torch.set_num_threads(threads)
            took = _milliseconds(step)
            if turn > 1:
                taken.append(took)
    torch.set_num_threads(1)
    augmentation = median(_milliseconds(lambda: next(endless)) for _ in range(STEPS))
    return Small(regime, median(times[1]), median(times[2]), augmentation, _products(method, next(endless)))


def _products(method: nn.Module, batch: Batch) -> float:
    """Floating-point operations of a step's products and convolutions at the rate of a large product, milliseconds."""
    with FlopCounterMode(display=False) as counter:
        method.loss(method(method.views(batch)))["loss"].backward()  # type: ignore[operator]
    a = torch.randn(1024, 1024)
    rate = 2 * 1024**3 / min(_milliseconds(lambda: a @ a) for _ in range(5))
    return counter.get_total_flops() / rate


def _milliseconds(call: Callable[[], Tensor | Batch | None]) -> float:
    started = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - started)
