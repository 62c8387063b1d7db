"""Clusters of images: Ward's method, made robust against images that are thrown far out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

MOST = 100  # clusters that are looked for
OUTLIERS = 0.02  # of the images: left out, the farthest first
SPLINTER = 0.05  # of an even share: less is no place where images gather
STRAGGLERS = 0.1  # of the members: the farthest from their cluster's mean are left out of the variance inside
LEAST = 20  # images below which there is nothing to cluster


@dataclass(frozen=True)
class Clustering:
    """The partition at which the cost of a merge jumps most.

    Attributes:
        members: [n], cluster of each image, -1 where it is left out as an outlier or a splinter.
        number: how many clusters; 1 where there is no jump.
        within: variance inside clusters over total variance, of the members but for the STRAGGLERS among them.
        jump: cost (in squared error) of the cheapest merge of two clusters over that of the dearest merge inside one.
    """

    members: NDArray[np.int64]
    number: int
    within: float
    jump: float


def ward(distances: NDArray[Any]) -> Clustering | None:
    """Cluster by Euclidean distances [n, n]; None for fewer than LEAST images or where all are the same."""
    middle = np.median(distances, 1)
    kept = np.flatnonzero(middle <= np.quantile(middle, 1 - OUTLIERS))
    if len(kept) < LEAST or not distances.any():
        return None
    between = distances[np.ix_(kept, kept)]
    tree = linkage(squareform(between, checks=False), method="ward")
    # A merge raises the squared error by half its squared height.
    costs = tree[::-1, 2] ** 2 / 2
    most = min(MOST, len(kept) // 5)
    total = float(costs.sum())
    if total == 0:
        return None
    dear, next_one = costs[: most - 1], costs[1:most]
    # Below rounding a cost is 0: exact duplicates make the jump as large as a float can tell.
    jumps = dear / np.maximum(next_one, 1e-12 * total)
    number = int(jumps.argmax()) + 2
    members = np.full(len(distances), -1)
    members[kept] = fcluster(tree, number, criterion="maxclust") - 1
    members = _without_splinters(members, number)
    found = len(np.unique(members[members >= 0]))
    if found < 2:
        return Clustering(members, 1, 1.0, 1.0)
    return Clustering(members, found, _within(distances, members), float(jumps[number - 2]))


def _without_splinters(members: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """Clusters of less than SPLINTER of an even share left out."""
    counts = np.bincount(members[members >= 0], minlength=number)
    small = np.flatnonzero(counts < max(3, SPLINTER * counts.sum() / number))
    return np.where(np.isin(members, small), -1, members)


def _within(distances: NDArray[Any], members: NDArray[np.int64]) -> float:
    """Variance inside clusters over total variance, from distances alone; stragglers between clusters don't count.

    Half the mean of squared distances over all ordered pairs is the scatter around a mean, an image's distance from its
    cluster's mean its mean squared distance to the members less that scatter.
    """
    held = members >= 0
    squares, names = distances[np.ix_(held, held)] ** 2, members[held]
    total = squares.mean() / 2
    own = np.empty(len(names))
    for name in np.unique(names):
        inside = squares[np.ix_(names == name, names == name)]
        own[names == name] = inside.mean(1) - inside.mean() / 2
    return float(np.sort(own)[: max(1, round((1 - STRAGGLERS) * len(own)))].mean() / total)
