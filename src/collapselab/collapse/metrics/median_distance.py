"""How far a typical image lies from the middle of all: a spread that outliers can't feign."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.registry import Evidence, Spec, metric


@metric(
    "sample",
    spec=Spec(
        formula="median over images of ||z - median z||",
        source="the spatial analogue of the median absolute deviation; absolute scale",
        centring="coordinatewise median over images",
        blind_to="what fewer than half of the images do; whether images or augmentation make the spread",
    ),
)
def median_distance(evidence: Evidence) -> float | None:
    z = np.asarray(evidence.sample, dtype=np.float64)
    return float(np.median(np.linalg.norm(z - np.median(z, 0), axis=1)))
