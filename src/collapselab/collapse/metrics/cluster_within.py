"""Variance inside clusters over total variance."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric(
    "rows",
    spec=Spec(
        formula="mean square around the clusters' means, without the farthest tenth / around the common mean, by `clusters`",
        source="one-way analysis of variance over Ward's clusters (Ward 1963, JASA 58)",
        centring="means",
        range="0 (images of a cluster are the same) to 1 (no clusters)",
        sees="cluster",
        blind_to="clusters that touch each other",
        falls="down",
    ),
)
def cluster_within(evidence: Evidence) -> float | None:
    found = evidence.clustering if evidence.resolved else None
    return found.within if found else None
