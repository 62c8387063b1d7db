"""How far dimensions repeat each other."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.rounding import dead_units


@metric(
    "sample",
    spec=Spec(
        formula="mean over pairs of dimensions i != j of their squared correlation over images, dead dimensions left out",
        source="the off-diagonal term of Barlow Twins (Zbontar et al. 2021, arXiv 2103.03230), within one view",
        centring="mean over images",
        normalisation="variance, each dimension",
        range="0 to 1; independent dimensions read 1 / (N - 1); undefined with fewer than two live dimensions",
        sees="dimensional, as far as it shows along the axes",
        blind_to="complete collapse; dead dimensions (dead_dimensions); depends on the axes",
        falls="up",
    ),
)
def redundancy(evidence: Evidence) -> float | None:
    live = ~dead_units(evidence)
    count = int(live.sum())
    if not evidence.resolved or count < 2:
        return None
    covariance = evidence.moments.covariance[np.ix_(live, live)]
    variance = np.diag(covariance)
    squares = covariance**2 / np.outer(variance, variance)
    return float((squares.sum() - np.trace(squares)) / (count * (count - 1)))
