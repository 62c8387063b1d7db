"""Entropies of softmax rows, read in blocks: K may be large."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from collapselab.collapse.statistics.moments import Float, blocks


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
