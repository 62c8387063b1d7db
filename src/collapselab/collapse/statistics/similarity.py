"""Similarities: of two sets of features of the same images, and of the directions of one set among each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.statistics.moments import unit_rows
from collapselab.errors import UserError

ROWS = 4096  # images at a time


def linear_cka(evidence: Evidence, other: NDArray[Any], name: str) -> float | None:
    """||Y^T X||^2 / (||X^T X|| ||Y^T Y||), Frobenius norms of centred features; d x d numbers, so that N may be large.

    None where the spread of either is rounding. Raises UserError where `other` (called `name`) has not one row for each image.
    """
    if len(other) != len(evidence.sample):
        raise UserError(
            f"`{name}` holds {len(other)} vectors and the features {len(evidence.sample)}: "
            "they must be of the same images, in the same order"
        )
    beside = Evidence(sample=other)
    if not (evidence.resolved and beside.resolved):
        return None
    cross = np.zeros((len(beside.moments.mean), len(evidence.moments.mean)))
    for start in range(0, len(other), ROWS):
        here = np.asarray(evidence.sample[start : start + ROWS], dtype=np.float64) - evidence.moments.mean
        there = np.asarray(other[start : start + ROWS], dtype=np.float64) - beside.moments.mean
        cross += there.T @ here
    own = np.linalg.norm(evidence.moments.scatter) * np.linalg.norm(beside.moments.scatter)
    return float(np.linalg.norm(cross) ** 2 / own)


def squared_cosines(z: NDArray[Any]) -> float | None:
    """SelfCluster of vectors [N, d], none of length 0: squared cosines in excess of random directions', 1 where all are parallel.

    None for d = 1 or fewer than two vectors.
    """
    count, d = z.shape
    if d == 1 or count < 2:
        return None
    unit = unit_rows(z)
    gram = unit @ unit.T if count <= d else unit.T @ unit
    expected = count + count * (count - 1) / d
    return float(((gram**2).sum() - expected) / (count**2 - expected))
