"""The share of the variance that lies behind the spectrum's drop."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric(
    "sample",
    spec=Spec(
        formula="sum of the eigenvalues behind live_directions / sum of all",
        source="residual variance of a principal component analysis cut at the drop",
        centring="mean over images",
        range="0 to 1; undefined where the spread is rounding",
        sees="dimensional, together with live_directions: dead directions carry next to nothing",
        blind_to="where there is no fivefold drop: it reads 0 there",
    ),
)
def tail_share(evidence: Evidence) -> float | None:
    return evidence.spectrum.tail if evidence.resolved else None
