"""Streaming moments in float64: everything that spectral metrics read of N vectors, in d x d numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Count N, mean [d] and centred scatter sum (x - mean)(x - mean)^T [d, d] of N vectors.

    Parts merge exactly (Chan et al. 1979), so a data set can be read in pieces. `absolute` is the mean absolute value of all
    entries: float noise is judged against it.
    """

    count: int
    mean: Float
    scatter: Float
    absolute: float

    @classmethod
    def of(cls, features: NDArray[Any]) -> Moments:
        """Of features [N, d], N >= 1."""
        x = np.asarray(features, dtype=np.float64)
        mean = x.mean(0)
        centred = x - mean
        return cls(len(x), mean, centred.T @ centred, float(np.abs(x).mean()))

    @classmethod
    def of_uncentred(cls, count: int, mean: NDArray[Any], second: NDArray[Any]) -> Moments:
        """From E x x^T, the form in which snapshots hold the moments of tokens."""
        mean = np.asarray(mean, dtype=np.float64)
        scatter = count * (np.asarray(second, dtype=np.float64) - np.outer(mean, mean))
        return cls(count, mean, scatter, float(np.sqrt(np.trace(second) / len(mean))))

    def merge(self, other: Moments) -> Moments:
        """The moments of both parts together."""
        count = self.count + other.count
        step = other.mean - self.mean
        scatter = self.scatter + other.scatter + np.outer(step, step) * (self.count * other.count / count)
        absolute = (self.count * self.absolute + other.count * other.absolute) / count
        return Moments(count, self.mean + step * (other.count / count), scatter, absolute)

    @property
    def covariance(self) -> Float:
        """Biased (divided by N), [d, d]."""
        return self.scatter / self.count

    @cached_property
    def eigenvalues(self) -> Float:
        """Of the covariance, descending, rounding below zero cut off, [d]."""
        return np.asarray(np.linalg.eigvalsh(self.covariance)[::-1].clip(min=0), dtype=np.float64)

    @property
    def trace(self) -> float:
        """Total variance."""
        return float(np.trace(self.covariance))

    @property
    def ceiling(self) -> int:
        """The largest rank that N vectors in d dimensions can have once centred."""
        return min(self.count - 1, len(self.mean))

    def resolved(self, ulps: float = 4.0, dtype: type[np.floating[Any]] = np.float32) -> bool:
        """Whether the spread stands clear of the rounding of `dtype`: below it, shape metrics would read noise."""
        return bool(np.sqrt(self.trace / len(self.mean)) > ulps * np.finfo(dtype).eps * self.absolute)


def entropy_rank(weights: NDArray[Any]) -> float:
    """exp of the Shannon entropy of non-negative weights, normalised to sum one; 0 log 0 is 0."""
    p = np.asarray(weights, dtype=np.float64)
    p = p[p > 0] / p.sum()
    return float(np.exp(-(p * np.log(p)).sum()))
