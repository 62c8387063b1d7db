"""How much of the features' size is one common offset."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric(
    "sample",
    spec=Spec(
        formula="||mean||^2 / E||z||^2",
        source="share of the second moment that centring removes",
        range="0 to 1; undefined where all features are 0",
        sees="large mean; complete (to 1), as every large mean does",
        blind_to="whether the rest is healthy; which direction the offset has",
        falls="up",
    ),
)
def mean_share(evidence: Evidence) -> float | None:
    moments = evidence.moments
    offset = float(moments.mean @ moments.mean)
    total = offset + moments.trace
    return offset / total if total > 0 else None
