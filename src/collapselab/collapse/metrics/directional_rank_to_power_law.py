"""The same ratio of the features' directions: a few rows that are far too long can't lower it."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.spectrum import rank_ratio


@metric(
    "rows",
    spec=Spec(
        formula="rank_to_power_law of the covariance of (z - median z) / ||z - median z||",
        source="spatial sign covariance (Visuri, Koivunen and Oja 2000); Roy and Vetterli 2007",
        centring="coordinatewise median over images",
        normalisation="L2, each centred vector",
        range="0 to d; under 1: steeper than any healthy network measured",
        sees="dimensional",
        blind_to="a drop that leaves many directions alive",
        falls="down",
    ),
)
def directional_rank_to_power_law(evidence: Evidence) -> float | None:
    return rank_ratio(evidence.directional_spectrum) if evidence.resolved else None
