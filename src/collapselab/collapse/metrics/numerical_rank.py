"""Numerical rank: singular values that stand clear of the rounding of the features' own type."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric

GRAM = 1e-7  # of the largest: a covariance formed in float64 shows no smaller singular value
COARSE = 0.01  # a tolerance from here on says less than rank_above_hundredth


@metric(
    "sample",
    spec=Spec(
        formula="# s > s_1 max(1e-7, max(N, d) eps), s the singular values of the centred Z, eps that of Z's own type",
        source="Golub and Van Loan, Matrix Computations: the tolerance of matrix_rank; 1e-7 is what a Gram matrix resolves",
        centring="mean over images",
        epsilon=GRAM,
        range="1 to min(N - 1, d); undefined where the spread is rounding, and where max(N, d) eps reaches .01",
        sees="dimensional, where directions are exactly dead",
        blind_to="a noise floor, however low",
        falls="down",
    ),
)
def numerical_rank(evidence: Evidence) -> float | None:
    kind = evidence.sample.dtype
    own = float(np.finfo(kind if kind.kind == "f" else np.float64).eps) * max(evidence.sample.shape)
    if not evidence.resolved or own >= COARSE:
        return None
    moments = evidence.moments
    values = moments.eigenvalues[: evidence.ceiling]
    return float((values > max(GRAM, own) ** 2 * values[0]).sum())
