"""How far a typical image lies from the middle of all: a spread that outliers can't feign."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric(
    "rows",
    spec=Spec(
        formula="median over images of ||z - median z||",
        source="the spatial analogue of the median absolute deviation; absolute scale",
        centring="coordinatewise median over images",
        sees="complete, also behind outliers",
        blind_to="what fewer than half of the images do; whether images or augmentation make the spread",
        falls="down",
        version=2,
    ),
)
def median_distance(evidence: Evidence) -> float | None:
    if evidence.moments.absolute == 0:  # moments also refuse NaN and infinity
        return 0.0
    return float(np.median(evidence.median_distances))
