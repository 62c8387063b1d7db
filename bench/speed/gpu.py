"""Training steps on a GPU: the founding network against the notebook's own loop, and SimSiam against lightly's benchmark script."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from statistics import median

import torch
from bench.speed.measure import PAIRS, Part, Result, Side, asked_in_turns
from bench.speed.pretrain import IMAGES, products

from collapselab.errors import UserError

BATCHES = {"frozen": IMAGES, "both": IMAGES, "simsiam": 512}
STEPS = {"frozen": 30, "both": 30, "simsiam": 97}  # of a turn; lightly's loader starts its workers anew each 97 steps


def compare(regime: str, pairs: int) -> Part:
    theirs, ours = (Side("bench.speed.gpu_worker", side, regime, str(STEPS[regime])) for side in ("peer", "ours"))
    with theirs, ours:
        part = asked_in_turns(theirs.ask, ours.ask, pairs)  # the first run loads, chooses kernels, records
        rate = ours.ask("gemm")
    images = BATCHES[regime]
    beside = {"images_per_s": images / median(part.ours), "peer_images_per_s": images / median(part.theirs)}
    if regime != "simsiam":
        beside["ours_gemm_share"] = products(regime) / median(part.ours) / rate
    return replace(part, beside=beside)


def measure(pairs: int = PAIRS) -> Result:
    if not torch.cuda.is_available():
        raise UserError("the benchmark gpu needs a CUDA device: this machine has none")
    if find_spec("lightly") is None:
        raise UserError("lightly is not installed: `make speed` installs it, apart from collapselab's own")
    parts = {regime: compare(regime, pairs) for regime in BATCHES}
    return Result("gpu", "the founding notebook's loop; lightly's SimSiam for CIFAR-10, batches of 512", parts)
