"""Entropies of softmax rows, read in blocks: K may be large."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from collapselab.collapse.statistics.moments import Float, blocks
from collapselab.errors import UserError


def distributions(probabilities: NDArray[Any]) -> Iterator[Float]:
    """Blocks of rows of [P, K] in float64, each row summing to one exactly: half precision leaves them off.

    Raises UserError for NaN or infinity.
    """
    for block in blocks(probabilities):
        rows = block.clip(min=0)
        yield rows / rows.sum(1, keepdims=True)


def entropy(p: Float) -> Float:
    """h of the last axis, nats; 0 log 0 is 0."""
    return np.asarray(entr(p).sum(-1))


def entropies(probabilities: NDArray[Any]) -> Float:
    """h of each row, [P]."""
    return np.concatenate([entropy(p) for p in distributions(probabilities)])


def checked_entropies(probabilities: NDArray[Any]) -> Float:
    """h of each row, [P], of rows that the user gives. Raises UserError where rows are no distributions."""
    if probabilities.ndim != 2 or probabilities.shape[1] < 2 or len(probabilities) < 2:
        raise UserError(
            f"probabilities must be [images, prototypes] with two or more of each, not {list(probabilities.shape)}"
        )
    found = []
    for p in blocks(probabilities):
        sums = p.sum(1)
        # Half precision rounds each of K values: the sum of a row may be off by more than a percent.
        if p.min() < -1e-6 or np.abs(sums - 1).max() > 0.02:
            raise UserError(
                f"rows of the probabilities sum to {sums.min():.4g} to {sums.max():.4g}, the smallest value is {p.min():.2g}: "
                "save the softmax's output, not its input"
            )
        found.append(entropy(p.clip(min=0) / sums[:, None]))
    return np.concatenate(found)


def marginal(probabilities: NDArray[Any]) -> Float:
    """Mean over images, [K]."""
    return np.asarray(sum(p.sum(0) for p in distributions(probabilities)) / len(probabilities))


def finite_mean(entropies: NDArray[Any]) -> float:
    """Of [P]. Raises UserError where one is NaN or infinite."""
    return float(np.concatenate(list(blocks(entropies[:, None]))).mean())


def jackknifed_marginal_entropy(probabilities: NDArray[Any]) -> float:
    """h(mean p) corrected for the finite number of rows, at most ln K; plain, it is low by about (K - 1) / 2N at worst.

    N h - (N - 1) times the mean of h with one row left out.
    """
    count, mean = len(probabilities), marginal(probabilities)
    whole = float(entropy(mean))
    if count < 2:
        return whole
    without = [entropy(((count * mean - p) / (count - 1)).clip(min=0)).sum() for p in distributions(probabilities)]
    return min(float(np.log(len(mean))), count * whole - (count - 1) * float(sum(without)) / count)
