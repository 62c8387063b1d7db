"""The largest value that any rank can take here; it stands beside every rank."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric(
    "sample",
    spec=Spec(
        formula="min(N - 1, d), N the different vectors", source="N centred vectors span at most N - 1 directions"
    ),
)
def rank_ceiling(evidence: Evidence) -> float | None:
    return float(evidence.ceiling)
