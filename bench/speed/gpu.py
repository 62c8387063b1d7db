"""Training steps on a GPU: the founding network against the notebook's own loop, and SimSiam against lightly's benchmark script."""

from __future__ import annotations

from importlib.util import find_spec
from statistics import median

import torch
from bench.speed.measure import PAIRS, Part, Result, Side
from bench.speed.pretrain import IMAGES, products

from collapselab.errors import UserError

BATCHES = {"frozen": IMAGES, "both": IMAGES, "simsiam": 512}
STEPS = 30  # of a turn


def compare(regime: str, pairs: int) -> Part:
    theirs, ours = (Side("bench.speed.gpu_worker", side, regime, str(STEPS)) for side in ("peer", "ours"))
    with theirs, ours:
        theirs.ask(), ours.ask()  # loads, chooses kernels, records
        turns = [(theirs.ask(), ours.ask()) for _ in range(pairs)]
        rate = ours.ask("gemm")
    images = BATCHES[regime]
    took, own = [first for first, _ in turns], [second for _, second in turns]
    beside = {"images_per_s": images / median(own), "peer_images_per_s": images / median(took)}
    if regime != "simsiam":
        beside["ours_gemm_share"] = products(regime) / median(own) / rate
    return Part(took, own, beside)


def measure(pairs: int = PAIRS) -> Result:
    if not torch.cuda.is_available():
        raise UserError("the benchmark gpu needs a CUDA device: this machine has none")
    if find_spec("lightly") is None:
        raise UserError("lightly is not installed: `make speed` installs it, apart from collapselab's own")
    parts = {regime: compare(regime, pairs) for regime in BATCHES}
    return Result("gpu", "the founding notebook's loop; lightly's SimSiam for CIFAR-10, batches of 512", parts)
