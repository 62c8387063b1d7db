"""The effective rank against that of the steepest spectrum that a healthy network was seen to have."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.moments import entropy_rank
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.spectrum import STEEPEST, power_law


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
    if not evidence.resolved:
        return None
    moments = evidence.moments
    return entropy_rank(np.sqrt(moments.eigenvalues)) / entropy_rank(np.sqrt(power_law(STEEPEST, moments.ceiling)))
