"""Training steps on a GPU: the founding network against the notebook's own loop, and SimSiam against lightly's benchmark script."""

from __future__ import annotations

from importlib.util import find_spec
from statistics import median

import torch
from bench.speed.measure import PAIRS, Part, Result
from bench.speed.pretrain import IMAGES, Side, products

from collapselab.errors import UserError

BATCHES = {"frozen": IMAGES, "both": IMAGES, "simsiam": 512}
STEPS = 30  # of a turn


def compare(regime: str, pairs: int) -> Part:
    sides = [Side("bench.speed.gpu_worker", side, regime, str(STEPS)) for side in ("peer", "ours")]
    try:
        for side in sides:
            side.ask()  # loads, chooses kernels, records
        theirs, own = zip(*([side.ask() for side in sides] for _ in range(pairs)), strict=True)
        rate = sides[1].ask("gemm")
    finally:
        for side in sides:
            side.close()
    images = BATCHES[regime]
    beside = {"images_per_s": images / median(own), "peer_images_per_s": images / median(theirs)}
    if regime != "simsiam":
        beside["ours_gemm_share"] = products(regime) / median(own) / rate
    return Part(list(theirs), list(own), beside)


def measure(pairs: int = PAIRS) -> Result:
    if not torch.cuda.is_available():
        raise UserError("the benchmark gpu needs a CUDA device: this machine has none")
    if find_spec("lightly") is None:
        raise UserError("lightly is not installed: `make speed` installs it, apart from collapselab's own")
    parts = {regime: compare(regime, pairs) for regime in BATCHES}
    return Result("gpu", "the founding notebook's loop; lightly's SimSiam for CIFAR-10, batches of 512", parts)
