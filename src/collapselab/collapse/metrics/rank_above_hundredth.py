"""How many directions are no less than a hundredth of the longest."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric(
    "sample",
    spec=Spec(
        formula="# s > .01 s_1, s the singular values of the centred Z",
        source="a numerical rank with a fixed relative tolerance, coarser than the rounding of any type",
        centring="mean over images",
        range="1 to min(N - 1, d); undefined where the spread is rounding",
        sees="dimensional",
        blind_to="a noise floor above a hundredth; cluster and local collapse",
        falls="down",
    ),
)
def rank_above_hundredth(evidence: Evidence) -> float | None:
    moments = evidence.moments
    values = moments.eigenvalues[: evidence.ceiling]
    return float((values > 1e-4 * values[0]).sum()) if evidence.resolved else None
