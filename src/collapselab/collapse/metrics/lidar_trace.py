"""Trace of LiDAR's matrix: the size of the signal that its rank can't see."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.metrics.lidar import DELTA
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.discriminant import lidar_eigenvalues


@metric(
    "views",
    spec=Spec(
        formula="tr S_w^-1 S_b, S_b and S_w (with its 1e-4 I) as in lidar",
        source="the matrix of Thilak et al. 2023 (LiDAR, arXiv 2312.04000); its trace stands beside the rank",
        centring="mean over images; image mean",
        epsilon=DELTA,
        range="about d / (q - 1) (only view noise, enough images) to infinity; undefined where images differ by rounding only",
        sees="nuisance, complete",
        blind_to="how many directions carry the signal; features as small as sqrt(1e-4)",
        falls="down",
    ),
)
def lidar_trace(evidence: Evidence) -> float | None:
    values = lidar_eigenvalues(evidence, DELTA)
    return float(values.sum()) if values is not None else None
