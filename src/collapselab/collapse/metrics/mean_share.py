"""How much of the features' size is one common offset."""

from __future__ import annotations

from collapselab.collapse.registry import Evidence, Spec, metric


@metric(
    "sample",
    spec=Spec(
        formula="||mean||^2 / E||z||^2",
        source="share of the second moment that centring removes",
        range="0 to 1; undefined where all features are 0",
        blind_to="which direction the offset has",
    ),
)
def mean_share(evidence: Evidence) -> float | None:
    moments = evidence.moments
    offset = float(moments.mean @ moments.mean)
    total = offset + moments.trace
    return offset / total if total > 0 else None
