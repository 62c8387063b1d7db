"""How far a typical image lies from the middle of all: a spread that outliers can't feign."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric(
    "rows",
    spec=Spec(
        formula="median over images of ||z - median z||; z / ||z|| for z where the loss compares cosines alone",
        source="the spatial analogue of the median absolute deviation; absolute scale",
        centring="coordinatewise median over images",
        sees="complete, also behind outliers",
        blind_to="what fewer than half of the images do; whether images or augmentation make the spread",
        falls="down",
        version=3,
    ),
)
def median_distance(evidence: Evidence) -> float | None:
    if evidence.moments.absolute == 0:  # moments also refuse NaN and infinity
        return 0.0
    if not evidence.directional:
        return float(np.median(evidence.median_distances))
    return float(np.median(np.linalg.norm(evidence.compared - np.median(evidence.compared, 0), axis=1)))
