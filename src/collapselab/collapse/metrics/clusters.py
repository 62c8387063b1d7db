"""How many separate clusters the images form."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric(
    "rows",
    spec=Spec(
        formula="number of clusters at the largest jump in the cost of Ward merges, splinters and outliers left out",
        source="Ward 1963 (JASA 58); the largest relative jump of merge costs as the stopping rule",
        centring="none (shift-invariant)",
        range="1 (one cloud) to 100; None for fewer than 20 images",
        sees="cluster",
        blind_to="how tight the clusters are",
    ),
)
def clusters(evidence: Evidence) -> float | None:
    found = evidence.clustering if evidence.resolved else None
    return float(found.number) if found else None
