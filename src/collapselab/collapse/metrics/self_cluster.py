"""SelfCluster of centred features: squared cosines in excess of those of random directions."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.rounding import rounding
from collapselab.collapse.statistics.similarity import squared_cosines


@metric(
    "rows",
    spec=Spec(
        formula="(Q - N - N (N - 1) / d) / (N^2 - N - N (N - 1) / d), Q the sum of the squared cosines of all pairs",
        source="Tsitsulin et al. 2023 (arXiv 2305.16562), after subtracting the mean: a large one fools the published value",
        centring="mean over images; vectors at the mean, up to rounding, are left out",
        normalisation="L2, each vector",
        range="-1 / (max(N, d) - 1) to 1; 0 for random directions; undefined for d = 1 and where the spread is rounding",
        sees="dimensional, cluster",
        blind_to="complete collapse (undefined); token-position",
        falls="up",
    ),
)
def self_cluster(evidence: Evidence) -> float | None:
    if not evidence.resolved:
        return None
    z = evidence.rows - evidence.rows.mean(0)
    return squared_cosines(z[np.linalg.norm(z, axis=1) > rounding(evidence) * z.shape[1] ** 0.5])
