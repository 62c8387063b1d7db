"""SelfCluster as published, of features that are not centred: a large mean fools it."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.similarity import squared_cosines


@metric(
    "rows",
    spec=Spec(
        formula="(Q - N - N (N - 1) / d) / (N^2 - N - N (N - 1) / d), Q the sum of the squared cosines of all pairs",
        source="Tsitsulin et al. 2023 (arXiv 2305.16562)",
        centring="none; zero vectors are left out",
        normalisation="L2, each vector",
        range="-1 / (max(N, d) - 1) to 1; 0 for random directions; undefined for d = 1 and with fewer than two vectors",
        sees="complete (to 1), dimensional, cluster",
        blind_to="everything beside a large mean: .998 on a healthy Gaussian with offset 30; token-position",
        falls="up",
    ),
)
def self_cluster_uncentred(evidence: Evidence) -> float | None:
    if evidence.moments.absolute == 0:
        return None
    z = evidence.rows
    return squared_cosines(z[(z != 0).any(1)])
