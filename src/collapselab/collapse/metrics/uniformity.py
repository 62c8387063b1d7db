"""Uniformity on the sphere: how evenly normalised features spread over all directions."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.moments import unit_rows


@metric(
    "rows",
    spec=Spec(
        formula="log E exp(-2 ||u - v||^2) over pairs of different images",
        source="Wang and Isola 2020 (arXiv 2005.10242), t = 2, without self pairs",
        normalisation="L2, each vector; zero vectors stay zero",
        range="-8 (two antipodes) to 0 (one direction); about -4 for isotropic features; undefined where all are 0",
        sees="complete",
        blind_to="local collapse; mild dimensional collapse; a large mean takes it to 0 whatever the rest does",
        falls="up",
    ),
)
def uniformity(evidence: Evidence) -> float | None:
    if evidence.moments.absolute == 0:
        return None
    unit = unit_rows(evidence.rows)
    squares = (unit**2).sum(1)
    kernel = np.exp(-2 * (squares[:, None] + squares - 2 * unit @ unit.T).clip(min=0))
    count = len(unit)
    return float(min(0.0, np.log((kernel.sum() - np.trace(kernel)) / (count * (count - 1)))))
