"""How many prototypes stay once those of one direction are merged."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.moments import blocks, unit_rows

SAME = 0.975  # cosine
BLOCK = 1 << 22  # cosines at a time


@metric(
    "prototypes",
    spec=Spec(
        formula="connected components of the prototypes (weights of the last layer, [K, D]) whose cosine exceeds .975",
        source="partial prototype collapse: Govindarajan et al. 2024 (arXiv 2410.14060); here copies are merged in chains",
        normalisation="L2, each prototype; those of length 0 count as one",
        range="1 to K; in D of a few dimensions even random prototypes fall together",
        sees="prototype",
        blind_to="prototypes that no image uses; biases",
        falls="down",
    ),
)
def distinct_prototypes(evidence: Evidence) -> float | None:
    assert evidence.prototypes is not None
    weights = unit_rows(np.concatenate(list(blocks(evidence.prototypes))))
    moving = weights.any(1)
    some, weights = int(not moving.all()), weights[moving]
    count = len(weights)
    group = np.arange(count)
    for start in range(0, count, max(1, BLOCK // max(1, count))):
        # Links to later prototypes only; groups, not prototypes, are joined: copies in plenty would make too many links.
        rows, columns = np.nonzero(weights[start : start + max(1, BLOCK // count)] @ weights[start:].T > SAME)
        links = np.unique(group[rows + start] * count + group[columns + start])
        graph = coo_array((np.ones(len(links), dtype=bool), (links // count, links % count)), shape=(count, count))
        group = connected_components(graph, directed=False)[1].astype(np.int64)[group]
    return float(len(np.unique(group)) + some)
