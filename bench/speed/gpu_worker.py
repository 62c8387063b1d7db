"""One side of a comparison on a GPU, a process of its own: a run of steps each time that its standard input asks for one.

    python -m bench.speed.gpu_worker ours|peer frozen|both|simsiam STEPS

Answers with the mean seconds of a step; to `gemm`, with the rate of a large bfloat16 product on this GPU, operations a second.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from bench.speed import peer
from bench.speed.gpu import BATCHES
from bench.speed.worker import images

IMAGES = 50_000  # as CIFAR-10 has: 390 batches of the notebook, 97 of SimSiam


class Gate:
    """Waits for a line on standard input before each run of steps."""

    def __init__(self, steps: int) -> None:
        self.steps, self.left, self.started = steps, 0, 0.0

    def passed(self) -> None:
        """Once a step."""
        self.left -= 1
        if self.left > 0:
            return
        torch.cuda.synchronize()
        if self.started:
            print((time.perf_counter() - self.started) / self.steps, flush=True)
        for line in sys.stdin:
            if line != "gemm\n":
                self.left, self.started = self.steps, time.perf_counter()
                return
            print(gemm_rate(), flush=True)
        raise SystemExit  # nobody is asking any more


def main(side: str, regime: str, steps: str) -> None:
    gate = Gate(int(steps))
    if side == "ours":
        ours(regime, gate)
    for _ in theirs(regime):
        gate.passed()


def theirs(regime: str) -> Iterator[float]:
    if regime != "simsiam":
        return peer.train(images(IMAGES), regime, "cuda")
    from bench.speed import lightly_simsiam

    return lightly_simsiam.train(images(IMAGES), BATCHES[regime], "cuda")


def ours(regime: str, gate: Gate) -> None:
    from bench.speed.ours import cell

    from collapselab.training.cell import run_cell
    from collapselab.training.process import prepare

    prepare(1)
    study = "cifar10-200" if regime == "simsiam" else "notebook"
    run = cell(regime, images(IMAGES), study, "cuda", batch_size=BATCHES[regime])
    with tempfile.TemporaryDirectory() as folder:
        run_cell(*run, Path(folder), advance=lambda step, steps: gate.passed())


def gemm_rate() -> float:
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(10):
        a @ b
    torch.cuda.synchronize()
    return 10 * 2 * 8192**3 / (time.perf_counter() - started)


if __name__ == "__main__":
    main(*sys.argv[1:])
