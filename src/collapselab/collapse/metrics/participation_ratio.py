"""Participation ratio: how many directions of equal variance would have the same second moment of eigenvalues."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric(
    "sample",
    spec=Spec(
        formula="(sum lambda)^2 / sum lambda^2",
        source="Gao et al. 2017, bioRxiv 214262 (dimensionality of neural populations); biased low by about PR / N",
        centring="mean over images",
        range="1 to min(N - 1, d); undefined where the spread is rounding",
        sees="dimensional",
        blind_to="cluster collapse; the tail: i^-1.5 reads near 6 whatever d",
        falls="down",
    ),
)
def participation_ratio(evidence: Evidence) -> float | None:
    values = evidence.moments.eigenvalues
    return float(values.sum() ** 2 / (values**2).sum()) if evidence.resolved else None
