"""Streaming moments in float64: everything that spectral metrics read of N vectors, in d x d numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigvalsh_tridiagonal, lapack

from collapselab.errors import UserError

Float = NDArray[np.float64]
BLOCK = 1 << 22  # numbers turned into float64 at a time: 32 MiB


def blocks(features: NDArray[Any]) -> Iterator[Float]:
    """Rows of features [N, d] as float64, a bounded number at a time; memory-mapped files are read this way.

    Raises UserError where a value is NaN or infinite.
    """
    rows = max(1, BLOCK // max(1, features.shape[1]))
    for start in range(0, len(features), rows):
        block = np.asarray(features[start : start + rows], dtype=np.float64)
        if not np.isfinite(block).all():
            bad = np.flatnonzero(~np.isfinite(block).all(1))
            raise UserError(
                f"row {start + bad[0]} of the features holds NaN or infinity, as do {len(bad)} of the {len(block)} rows read "
                "with it: find the step that made them, or drop those rows"
            )
        yield block


def unit_rows(features: NDArray[Any]) -> Float:
    """Each vector divided by its length; zero vectors stay zero."""
    z = np.asarray(features, dtype=np.float64)
    length = np.linalg.norm(z, axis=-1, keepdims=True)
    return np.asarray(z / np.where(length > 0, length, 1))


@dataclass(frozen=True)
class Moments:
    """Count N, mean [d] and centred scatter sum (x - mean)(x - mean)^T [d, d] of N vectors.

    Parts merge exactly (Chan et al. 1979), so a data set can be read in pieces. `absolute` is the mean absolute value of all
    entries: float noise is judged against it. `centred` keeps the vectors, less their mean, where they are fewer than
    dimensions: N x N products give the same eigenvalues sooner.
    """

    count: int
    mean: Float
    scatter: Float
    absolute: float
    centred: Float | None = None

    @classmethod
    def of(cls, features: NDArray[Any], *, unit: bool = False) -> Moments:
        """Of features [N, d], N >= 1, read in blocks; `unit`: of each vector divided by its length.

        Raises UserError where a value is NaN or infinite.
        """
        whole: Moments | None = None
        for block in blocks(features):
            part = cls._of_block(unit_rows(block) if unit else block)
            whole = part if whole is None else whole.merge(part)
        if whole is None:
            raise UserError("there are no features: the array has no row")
        return whole

    @classmethod
    def _of_block(cls, x: Float) -> Moments:
        # From the first row on: a sum of many equal numbers rounds, and a constant would seem to vary.
        centred = x - x[0]
        shift = centred.mean(0)
        centred -= shift
        few = centred if len(x) < x.shape[1] else None
        with np.errstate(over="ignore", invalid="ignore"):  # sizes whose squares no float holds are refused by name
            scatter = centred.T @ centred
        size = np.abs(x, out=centred if few is None else None)
        return cls(len(x), x[0] + shift, scatter, float(size.mean()), few)

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
        between = np.outer(step, step)
        between *= self.count * other.count / count
        scatter = self.scatter + other.scatter
        scatter += between
        absolute = (self.count * self.absolute + other.count * other.absolute) / count
        return Moments(count, self.mean + step * (other.count / count), scatter, absolute)

    @property
    def covariance(self) -> Float:
        """Biased (divided by N), [d, d]."""
        return self.scatter / self.count

    @property
    def second(self) -> Float:
        """E x x^T, uncentred, [d, d]."""
        return np.asarray(self.covariance + np.outer(self.mean, self.mean))

    @cached_property
    def eigenvalues(self) -> Float:
        """Of the covariance, descending, rounding below zero cut off, [d]."""
        if self.centred is not None:
            found = _descending(self.centred @ self.centred.T / self.count)
            return np.concatenate([found, np.zeros(len(self.mean) - len(found))])
        return self._spectra[0]

    @cached_property
    def uncentred_eigenvalues(self) -> Float:
        """Of E x x^T, descending, rounding below zero cut off, [d]."""
        return self._spectra[1]

    @cached_property
    def _spectra(self) -> tuple[Float, Float]:
        """Eigenvalues of the covariance and of E x x^T, [d] each, for little more than the price of one of them.

        Turned so that the mean lies along the first axis, the two differ in their first entry alone; so do the tridiagonal matrices
        that one reduction, which leaves that axis where it is, makes of them.
        """
        size = float(np.linalg.norm(self.mean))
        diagonal, beside = _tridiagonal(_turned(self.covariance, self.mean) if size else self.covariance)
        uncentred = diagonal.copy()
        uncentred[0] += size**2
        return _eigenvalues(diagonal, beside), _eigenvalues(uncentred, beside)

    @property
    def trace(self) -> float:
        """Total variance."""
        return float(np.trace(self.covariance))

    @property
    def mean_square(self) -> float:
        """E x^2 over all entries."""
        return (self.trace + float(self.mean @ self.mean)) / len(self.mean)

    @property
    def ceiling(self) -> int:
        """The largest rank that N vectors in d dimensions can have once centred."""
        return min(self.count - 1, len(self.mean))


@dataclass(frozen=True)
class Groups:
    """Moments of vectors that belong together: of a class, of an image's views, of a token position.

    Attributes:
        counts: [G]; means: [G, d]; spreads: [G], sum of squared distances from the group's mean.
        within: pooled scatter around the groups' own means, [d, d].
    """

    counts: NDArray[np.int64]
    means: Float
    spreads: Float
    within: Float

    @classmethod
    def of(cls, features: NDArray[Any], groups: NDArray[Any], number: int) -> Groups:
        """Of features [N, d] whose rows belong to groups 0 .. number - 1; read in blocks. Groups may be empty."""
        whole = cls.empty(number, features.shape[1])
        start = 0
        for block in blocks(features):
            ids = np.asarray(groups[start : start + len(block)])
            counts = np.bincount(ids, minlength=number)
            sums = np.zeros((number, block.shape[1]))
            np.add.at(sums, ids, block)
            means = sums / np.maximum(counts, 1)[:, None]
            centred = block - means[ids]
            spreads = np.bincount(ids, weights=(centred**2).sum(1), minlength=number).astype(np.float64)
            whole = whole.merge(cls(counts, means, spreads, centred.T @ centred))
            start += len(block)
        return whole

    @classmethod
    def of_views(cls, views: NDArray[Any]) -> Groups:
        """Of views [M, q, d]: a group is an image."""
        images, per_image, d = views.shape
        return cls.of(np.reshape(views, (-1, d)), np.repeat(np.arange(images), per_image), images)

    @classmethod
    def empty(cls, number: int, d: int) -> Groups:
        return cls(np.zeros(number, dtype=np.int64), np.zeros((number, d)), np.zeros(number), np.zeros((d, d)))

    def merge(self, other: Groups) -> Groups:
        """Both parts together, group by group."""
        counts = self.counts + other.counts
        step = other.means - self.means
        share = other.counts / np.maximum(counts, 1)
        weight = self.counts * share
        means = self.means + step * share[:, None]
        spreads = self.spreads + other.spreads + weight * (step**2).sum(1)
        within = self.within + other.within + (step * weight[:, None]).T @ step
        return Groups(counts, means, spreads, within)


def _descending(matrix: Float) -> Float:
    return np.asarray(np.linalg.eigvalsh(matrix)[::-1].clip(min=0), dtype=np.float64)


def _turned(matrix: Float, onto_first: Float) -> Float:
    """H matrix H, H the reflection that lays a vector along the first axis."""
    normal = onto_first / np.linalg.norm(onto_first)
    normal[0] += np.copysign(1.0, normal[0])
    normal /= np.linalg.norm(normal)
    image = matrix @ normal
    image -= (normal @ image) * normal
    crossed = np.outer(2 * normal, image)
    turned: Float = matrix - crossed
    turned -= crossed.T
    return turned


def _tridiagonal(matrix: Float) -> tuple[Float, Float]:
    """Diagonal [d] and what lies beside it [d - 1] of a tridiagonal matrix with the same eigenvalues; the first axis stays."""
    work, _ = lapack.dsytrd_lwork(len(matrix), lower=1)
    _, diagonal, beside, _, _ = lapack.dsytrd(matrix.copy(order="F"), lower=1, lwork=int(work), overwrite_a=1)
    return diagonal, beside


def _eigenvalues(diagonal: Float, beside: Float) -> Float:
    found = eigvalsh_tridiagonal(diagonal, beside, lapack_driver="sterf") if len(beside) else diagonal
    return np.asarray(found[::-1].clip(min=0), dtype=np.float64)


def entropy_rank(weights: NDArray[Any]) -> float:
    """exp of the Shannon entropy of non-negative weights, normalised to sum one; 0 log 0 is 0."""
    p = np.asarray(weights, dtype=np.float64)
    p = p[p > 0] / p.sum()
    return float(np.exp(-(p * np.log(p)).sum()))
