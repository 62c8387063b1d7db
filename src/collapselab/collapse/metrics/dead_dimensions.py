"""How many units give the same value for all images."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.rounding import dead_units


@metric(
    "sample",
    spec=Spec(
        formula="# dimensions whose std over images is at most 4 epsilon of their root mean square, epsilon the values' spacing",
        source="units that are constant up to rounding",
        centring="mean over images",
        range="0 to d",
        sees="dimensional along the axes, complete (to d)",
        blind_to="directions that lie across the axes",
        falls="up",
    ),
)
def dead_dimensions(evidence: Evidence) -> float | None:
    return float(dead_units(evidence).sum())
