"""A pretraining step of the founding network against the notebook's own loop, in processes of their own that take turns."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from bench.speed.measure import PAIRS, Part, Result, Side

from collapselab.pipeline import ALLOCATION

IMAGES = 128
PATCHES, WIDTH, DEPTH, MLP, HEAD = 64, 256, 6, 1024, (2048, 2048, 128)


def products(regime: str) -> float:
    """Multiplications and additions of a step's matrix products, what the loss does not need (the CLS token's head) left out."""
    tokens = PATCHES + 1
    block = tokens * (4 * WIDTH**2 + 2 * WIDTH * MLP) + 2 * tokens**2 * WIDTH
    head = PATCHES * (WIDTH * HEAD[0] + HEAD[0] * HEAD[1] + HEAD[1] * HEAD[2])
    forward = 2 * IMAGES * (DEPTH * block + head + PATCHES * 3 * 4 * 4 * WIDTH)
    return forward * (6 if regime == "both" else 4)  # a backward pass is two forward ones; a frozen teacher has none


def compare(regime: str, denormals: str, pairs: int) -> Part:
    peer = Side("bench.speed.worker", "peer", regime, denormals)
    ours = Side("bench.speed.worker", "ours", regime, denormals, **ALLOCATION)
    with peer, ours:
        for side in (peer, ours):
            for _ in range(2):  # the first loads, the second fills the memory that later ones use again
                side.ask()
        theirs, own, rates = [], [], []
        for _ in range(pairs):
            theirs.append(peer.ask())
            own.append(ours.ask())
            rates.append((peer.ask("gemm"), ours.ask("gemm")))
    work = products(regime)
    shares = {
        "peer_gemm_share": median(work / took / rate for took, (rate, _) in zip(theirs, rates, strict=True)),
        "ours_gemm_share": median(work / took / rate for took, (_, rate) in zip(own, rates, strict=True)),
    }
    rate = {"images_per_s": IMAGES / median(own), "peer_images_per_s": IMAGES / median(theirs)}
    return Part(theirs, own, shares | rate)


def measure(pairs: int = PAIRS, denormals: Iterable[str] = ("flushed",)) -> Result:
    parts = {
        f"{regime}, {state}": compare(regime, state, pairs) for state in denormals for regime in ("frozen", "both")
    }
    return Result("pretrain", "the founding notebook's loop (bench/speed/peer.py)", parts)
