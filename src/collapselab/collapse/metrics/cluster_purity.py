"""Whether the clusters are the classes."""

from __future__ import annotations

import numpy as np
from scipy.special import comb

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric(
    "rows",
    "labels",
    spec=Spec(
        formula="adjusted Rand index of clusters and labels",
        source="Hubert and Arabie 1985, Journal of Classification 2",
        range="about 0 (no more than by chance) to 1; undefined where there are no separate clusters",
        sees="neural collapse",
        blind_to="how tight the clusters are",
    ),
)
def cluster_purity(evidence: Evidence) -> float | None:
    assert evidence.labels is not None
    found = evidence.clustering if evidence.resolved else None
    if found is None or found.number < 2:
        return None
    held = found.members >= 0
    _, names = np.unique(evidence.labels[evidence.chosen][held], return_inverse=True)
    _, groups = np.unique(found.members[held], return_inverse=True)
    table = np.zeros((names.max() + 1, groups.max() + 1))
    np.add.at(table, (names, groups), 1)
    both, rows, columns = comb(table, 2).sum(), comb(table.sum(1), 2).sum(), comb(table.sum(0), 2).sum()
    chance = rows * columns / comb(len(names), 2)
    most = (rows + columns) / 2
    return float((both - chance) / (most - chance)) if most > chance else None
