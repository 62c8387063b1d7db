"""The effective rank against that of the steepest spectrum that a healthy network was seen to have."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.spectrum import rank_ratio


@metric(
    "sample",
    spec=Spec(
        formula="exp H(s / sum s) / exp H(r / sum r), r_i = i^-1.5, i = 1 .. min(N - 1, d): lambda_i = i^-3",
        source="Roy and Vetterli 2007; healthy networks measured fall off at most like i^-2.7",
        centring="mean over images",
        range="0 to d; under 1: steeper than any healthy network measured",
        sees="dimensional",
        blind_to="a drop that leaves many directions alive",
        falls="down",
    ),
)
def rank_to_power_law(evidence: Evidence) -> float | None:
    return rank_ratio(evidence.spectrum) if evidence.resolved else None
