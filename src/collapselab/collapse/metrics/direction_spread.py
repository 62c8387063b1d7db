"""How far apart the directions of the features are, whatever their size; by a median, so that outliers can't feign it."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.moments import unit_rows


@metric(
    "rows",
    spec=Spec(
        formula="median over images of 1 - cos(z, m), m the coordinatewise median of z / ||z||",
        source="median angular deviation of directional data (Mardia and Jupp 2000, section 2.3), as a cosine",
        normalisation="L2, each vector",
        range="0 (one direction) to 2; about 1 for isotropic features",
        sees="complete",
        blind_to="size; what fewer than half of the images do; a large mean lowers it whatever the rest does",
        falls="down",
        version=2,
    ),
)
def direction_spread(evidence: Evidence) -> float | None:
    if evidence.moments.absolute == 0:  # moments also refuse NaN and infinity
        return None
    unit = unit_rows(evidence.rows)
    middle = np.median(unit, 0)
    size = np.linalg.norm(middle)
    return float(max(0.0, np.median(1 - unit @ middle / size))) if size > 0 else None
