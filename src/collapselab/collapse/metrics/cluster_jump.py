"""How far the clusters stand apart, against how far their insides do."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric(
    "rows",
    spec=Spec(
        formula="squared error added by the cheapest merge of two clusters / by the dearest merge inside one",
        source="Ward 1963 (JASA 58); halving a line gives 8, a Gaussian cloud 1 to 4",
        range="1 to infinity",
        sees="cluster",
        blind_to="clusters that touch each other",
        falls="up",
    ),
)
def cluster_jump(evidence: Evidence) -> float | None:
    found = evidence.clustering if evidence.resolved else None
    return found.jump if found else None
