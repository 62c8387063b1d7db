"""RankMe: the effective rank of features that are not centred."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric

EPSILON = 1e-7
UNSEEN = 1e-14  # of the largest eigenvalue: what a Gram matrix formed in float64 can't tell from 0


@metric(
    "sample",
    spec=Spec(
        formula="exp -sum q log q, q = s / sum s + 1e-7, s the min(N, d) singular values of Z",
        source="Garrido et al. 2023 (arXiv 2210.02885), definition of RankMe; about 25,600 images there",
        epsilon=EPSILON,
        range="1 to about min(N, d) (with the epsilon .1 % more at d = 2048); undefined where all features are 0",
        sees="complete (to 1), dimensional",
        blind_to="cluster and local collapse; a large mean lowers it whatever the rest does; never compare across methods",
        falls="down",
    ),
)
def rankme(evidence: Evidence) -> float | None:
    moments = evidence.moments
    values = moments.uncentred_eigenvalues[: min(evidence.sample.shape)]
    if values[0] == 0:
        return None
    s = np.sqrt(np.where(values > UNSEEN * values[0], values, 0))
    q = s / s.sum() + EPSILON
    return float(np.exp(-(q * np.log(q)).sum()))
