"""How far the spread stands above the rounding of the floats."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric(
    "sample",
    spec=Spec(
        formula="sqrt(tr(cov) / d) / (epsilon 2^floor(log2 E|z|)), epsilon the relative spacing of the values that are there",
        source="root mean square standard deviation in units in the last place; below 4, all measures of shape are undefined",
        centring="mean over images",
        sees="complete, at its extreme",
        blind_to="collapse to anything larger than rounding",
        falls="down",
    ),
)
def resolution(evidence: Evidence) -> float | None:
    return evidence.resolution
