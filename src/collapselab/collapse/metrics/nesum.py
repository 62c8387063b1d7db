"""NESum: total variance in units of the largest."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric(
    "sample",
    spec=Spec(
        formula="sum lambda / lambda_1, lambda the eigenvalues of the covariance",
        source="He and Ozay 2022 (ICML), normalised eigenvalue sum; the stable rank of centred features",
        centring="mean over images",
        range="1 to min(N - 1, d); undefined where the spread is rounding",
        sees="dimensional",
        blind_to="cluster collapse; everything but the largest direction's share",
        falls="down",
    ),
)
def nesum(evidence: Evidence) -> float | None:
    values = evidence.moments.eigenvalues
    return float(values.sum() / values[0]) if evidence.resolved else None
