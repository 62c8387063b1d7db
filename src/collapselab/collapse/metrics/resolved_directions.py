"""How many directions stand clear of the rounding of the floats."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric(
    "sample",
    spec=Spec(
        formula="# lambda > max(16 ulp^2 / 12, 1e-14 lambda_1), ulp^2 its mean in a typical coordinate",
        source="rounding of the stored features, and of a covariance formed in float64",
        centring="mean over images",
        range="0 to min(N - 1, d)",
        sees="dimensional",
        blind_to="directions that carry noise only",
        falls="down",
    ),
)
def resolved_directions(evidence: Evidence) -> float | None:
    return float(evidence.spectrum.resolved) if evidence.resolved else None
