"""How far apart the directions of the features are, whatever their size; by a median, so that outliers can't feign it."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.registry import Evidence, Spec, metric


@metric(
    "sample",
    spec=Spec(
        formula="median over images of 1 - cos(z, m), m the coordinatewise median of z / ||z||",
        source="median angular deviation of directional data (Mardia and Jupp 2000, section 2.3), as a cosine",
        normalisation="L2, each vector",
        range="0 (one direction) to 2; about 1 for isotropic features",
        blind_to="size; what fewer than half of the images do; a large mean lowers it whatever the rest does",
    ),
)
def direction_spread(evidence: Evidence) -> float | None:
    z = np.asarray(evidence.sample, dtype=np.float64)
    length = np.linalg.norm(z, axis=1, keepdims=True)
    unit = z / np.where(length > 0, length, 1)
    middle = np.median(unit, 0)
    size = np.linalg.norm(middle)
    return float(max(0.0, np.median(1 - unit @ middle / size))) if size > 0 else None
