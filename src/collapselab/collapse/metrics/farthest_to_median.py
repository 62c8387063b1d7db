"""How much farther than a typical image the farthest one lies."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric(
    "rows",
    spec=Spec(
        formula="max over median of ||z - median z||",
        source="order statistics of distances",
        centring="coordinatewise median over images",
        range="1 to infinity; undefined where the median distance is 0",
        sees="damaged rows; outliers that batch norm throws out in a complete collapse",
        blind_to="how many they are",
        falls="up",
    ),
)
def farthest_to_median(evidence: Evidence) -> float | None:
    if not evidence.resolved:
        return None
    far = evidence.median_distances
    middle = float(np.median(far))
    return float(far.max()) / middle if middle > 0 else None
