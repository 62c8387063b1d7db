"""Entropy rank of the covariance spectrum: the eigenvalues in place of the singular values. Not the effective rank."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.moments import entropy_rank


@metric(
    "sample",
    spec=Spec(
        formula="exp H(lambda / sum lambda), lambda the eigenvalues of the covariance",
        source="Roy and Vetterli 2007 with eigenvalues for singular values; up to ten times smaller than the effective rank",
        centring="mean over images",
        range="1 to min(N - 1, d); undefined where the spread is rounding noise",
        sees="dimensional",
        blind_to="cluster and local collapse",
        falls="down",
    ),
)
def spectral_entropy_rank(evidence: Evidence) -> float | None:
    moments = evidence.moments
    return entropy_rank(moments.eigenvalues[: evidence.ceiling]) if evidence.resolved else None
