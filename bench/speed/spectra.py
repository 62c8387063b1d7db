"""Spectral metrics against what none of them can do without: one covariance product and one set of eigenvalues."""

from __future__ import annotations

import numpy as np
from bench.speed.measure import PAIRS, Result, in_turns

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import compute_all, load_metrics

IMAGES, DIMENSIONS = 10_000, 2048
# What is read of the covariance's eigenvalues, and RankMe: those of uncentred vectors come along with them.
COVARIANCE = [
    "alpha_req",
    "alpha_req_fit",
    "effective_rank",
    "live_directions",
    "nesum",
    "numerical_rank",
    "participation_ratio",
    "rank_above_hundredth",
    "rank_to_power_law",
    "rankme",
    "resolved_directions",
    "spectral_drop",
    "spectral_entropy_rank",
    "stable_rank",
    "tail_share",
]
# Of normalised vectors: a product and eigenvalues of its own, so that with it nothing could reach more than 0.5.
OTHER = "cev_auc"


def measure(pairs: int = PAIRS) -> Result:
    """float32 features with the spectrum of a healthy network, 1 / i, as they come: our reading them is part of our time."""
    load_metrics()
    rng = np.random.default_rng(0)
    scale = np.arange(1, DIMENSIONS + 1, dtype=np.float32) ** -0.5
    features = rng.standard_normal((IMAGES, DIMENSIONS), dtype=np.float32) * scale
    wide = features.astype(np.float64)

    def least() -> None:
        centred = wide - wide.mean(0)
        np.linalg.eigvalsh(centred.T @ centred / IMAGES)

    return Result(
        "spectra",
        "one covariance product and one eigvalsh, NumPy, float64",
        {
            f"{len(COVARIANCE)} metrics of one covariance": in_turns(
                least, lambda: compute_all(Evidence(features), only=COVARIANCE), pairs
            ),
            "with CEV-AUC, of a second one": in_turns(
                least, lambda: compute_all(Evidence(features), only=[*COVARIANCE, OTHER]), pairs
            ),
        },
    )
