"""Distances to the nearest neighbours, duplicates removed: what estimates of intrinsic dimension read."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.statistics.moments import Float
from collapselab.collapse.statistics.rounding import rounding

NEIGHBOURS = 20  # k of the maximum likelihood estimate
CLOSEST = 5  # k of the same in the closest neighbourhood
LEAST = 50  # distinct images: with fewer, 20 neighbours are no neighbourhood


def nearest(evidence: Evidence, k: int, least: int) -> Float | None:
    """Distances from each distinct row to its k nearest distinct others, ascending, [n, k].

    None where the spread is rounding or fewer than `least` rows are distinct. Rows that differ by less than rounding count as
    one: clusters that have shrunk to float noise would otherwise read as full of dimensions.
    """
    if not evidence.resolved:
        return None
    distances = evidence.distances
    same = distances <= rounding(evidence) * evidence.rows.shape[1] ** 0.5
    distinct = np.flatnonzero(~np.tril(same, -1).any(1))  # the first of each
    if len(distinct) < max(least, k + 1):
        return None
    between = distances[np.ix_(distinct, distinct)]
    np.fill_diagonal(between, np.inf)
    return np.asarray(np.sort(np.partition(between, k - 1, axis=1)[:, :k], axis=1))


def inverse_dimensions(evidence: Evidence, k: int = NEIGHBOURS) -> Float | None:
    """1 / m of each distinct row, m Levina and Bickel's estimate (1 / (k - 1) sum_{j < k} log T_k / T_j)^-1."""
    found = nearest(evidence, k, LEAST)
    if found is None:
        return None
    return np.asarray(np.log(found[:, -1:] / found[:, :-1]).mean(1))


def dimension(evidence: Evidence, k: int = NEIGHBOURS) -> float | None:
    """One over the mean of `inverse_dimensions`; None where all neighbours are equally far."""
    found = inverse_dimensions(evidence, k)
    return float(1 / found.mean()) if found is not None and found.mean() > 1e-9 else None
