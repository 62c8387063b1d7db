"""One side of the pretraining comparison, a process of its own: a step each time that its standard input asks for one.

    python -m bench.speed.worker ours|peer both|frozen flushed|denormal

Answers with the step's seconds; to `gemm`, with the rate of a large float32 product in this process, operations a second.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from bench.speed import peer

IMAGES = 10_000  # of the peer's epoch, long enough to hold no pause between epochs


def main(side: str, regime: str, denormals: str) -> None:
    (ours if side == "ours" else theirs)(regime, denormals == "flushed")


def images(count: int) -> np.ndarray:
    """[N, 32, 32, 3] uint8: no step's time depends on what is on the images."""
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


class Gate:
    """Waits for a line on standard input before each step."""

    def __init__(self) -> None:
        self.started = 0.0

    def wait(self) -> None:
        for line in sys.stdin:
            if line == "gemm\n":
                self.answer(gemm_rate())
            else:
                self.started = time.perf_counter()
                return
        raise SystemExit  # nobody is asking any more

    def passed(self) -> None:
        self.answer(time.perf_counter() - self.started)

    def answer(self, value: float) -> None:
        print(value, flush=True)


def theirs(regime: str, flush: bool) -> None:
    torch.set_flush_denormal(flush)
    steps, gate = peer.train(images(IMAGES), regime), Gate()
    while True:
        gate.wait()
        next(steps)
        gate.passed()


def ours(regime: str, flush: bool) -> None:
    from bench.speed.ours import cell

    from collapselab.training.cell import run_cell
    from collapselab.training.process import prepare

    prepare(0)
    torch.set_flush_denormal(flush)
    gate = Gate()

    def advance(step: int, steps: int) -> None:
        gate.passed()
        gate.wait()

    with tempfile.TemporaryDirectory() as folder:
        gate.wait()  # its answer, as the peer's first, holds all that comes before a first step
        run_cell(*cell(regime, images(512)), Path(folder), advance=advance)


def gemm_rate() -> float:
    """Of 8192 x 1024 by 1024 x 1024, the size of this network's own, best of three."""
    a, b = torch.randn(8192, 1024), torch.randn(1024, 1024)
    out = torch.empty(8192, 1024)
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        torch.mm(a, b, out=out)
        best = min(best, time.perf_counter() - started)
    return 2 * 8192 * 1024 * 1024 / best


if __name__ == "__main__":
    main(*sys.argv[1:])
