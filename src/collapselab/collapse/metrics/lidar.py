"""LiDAR: in how many directions images differ, each measured in units of the spread between views of one image."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.discriminant import lidar_eigenvalues

DELTA = 1e-4
EPSILON = 1e-7


@metric(
    "views",
    spec=Spec(
        formula=(
            "exp -sum p log p, p = lambda / sum lambda + 1e-7, lambda the d eigenvalues of S_w^-1/2 S_b S_w^-1/2, "
            "S_b = E (m - E m)(m - E m)^T, S_w = E (x - m)(x - m)^T + 1e-4 I, m the mean of an image's views"
        ),
        source="Thilak et al. 2023 (LiDAR, arXiv 2312.04000), section 3; 50 views or 10 there",
        centring="mean over images; image mean",
        epsilon=DELTA,
        range="1 to about min(M - 1, d), M images; undefined where images differ by rounding only",
        sees="dimensional in signal",
        blind_to="the size of the signal: pure view noise reads about d (lidar_trace); features as small as sqrt(1e-4)",
        falls="down",
    ),
)
def lidar(evidence: Evidence) -> float | None:
    values = lidar_eigenvalues(evidence, DELTA)
    if values is None:
        return None
    p = values / values.sum() + EPSILON
    return float(np.exp(-(p * np.log(p)).sum()))
