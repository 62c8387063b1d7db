"""What ranks are to be read against: the ceiling, the features without their correlations, and power laws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.statistics.moments import Float, Moments, entropy_rank
from collapselab.collapse.statistics.spectrum import power_law

RANKS = ("effective_rank", "spectral_entropy_rank", "participation_ratio")
ROWS = 2000  # of the shuffled copy, at most
SEED = 0
ALPHAS = (1.0, 1.5)

Baseline = dict[str, float]


def baselines(evidence: Evidence, reference: Mapping[str, float | None] | None = None) -> dict[str, Any]:
    """By name: `ceiling` min(N - 1, d), and the three ranks of each baseline.

    `isotropic` is a Gaussian of the features' size, `shuffled` the features with each column permuted over images,
    `power-law-A` eigenvalues i^-A. `reference` are the metrics of what the features are compared with.
    """
    ceiling = evidence.moments.ceiling
    found: dict[str, Any] = {
        "ceiling": ceiling,
        "isotropic": ranks(np.ones(ceiling)),
        "shuffled": ranks(shuffled(evidence)) | {"rows": min(len(evidence.sample), ROWS), "seed": SEED},
    }
    found |= {f"power-law-{alpha:g}": ranks(power_law(alpha, ceiling)) for alpha in ALPHAS}
    if reference is not None:
        found["reference"] = {name: reference.get(name) for name in RANKS}
    return found


def ranks(eigenvalues: NDArray[Any]) -> Baseline:
    """The three ranks of a covariance spectrum; that of no variance is 0."""
    values = np.asarray(eigenvalues, dtype=np.float64)
    total = values.sum()
    if not total > 0:
        return dict.fromkeys(RANKS, 0.0)
    p = values / total
    return dict(zip(RANKS, (entropy_rank(np.sqrt(p)), entropy_rank(p), float(1 / (p**2).sum())), strict=True))


def shuffled(evidence: Evidence) -> Float:
    """Eigenvalues of the features with each column permuted by itself: variances as they are, correlations gone."""
    count = len(evidence.sample)
    generator = np.random.default_rng(SEED)
    rows = np.sort(generator.choice(count, ROWS, replace=False)) if count > ROWS else np.arange(count)
    moments = Moments.of(generator.permuted(np.asarray(evidence.sample[rows], dtype=np.float64), axis=0))
    return np.asarray(moments.eigenvalues[: moments.ceiling])
