"""What is known of one layer at one step: the input of every metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapselab.collapse.statistics.clustering import Clustering, ward
from collapselab.collapse.statistics.moments import Float, Groups, Moments, unit_rows
from collapselab.collapse.statistics.softmax import checked_entropies
from collapselab.collapse.statistics.spacing import spacing
from collapselab.collapse.statistics.spectrum import Spectrum
from collapselab.collapse.token_sums import TokenSums
from collapselab.errors import UserError
from collapselab.randomness import generator as address

PAIRWISE = 2000  # images that pairwise measures look at, at most: 4 million distances
SAFE = 16.0  # times the rounding's variance: a product or two was rounded before the values were stored
BEGINNING = 8  # values of a vector that tell it from most others
MANY = 4  # times as many images as dimensions, and copies among them no longer limit the rank
VIEWED = 4000  # images whose views are looked at, at most


@dataclass(frozen=True)
class Evidence:
    """What is known of one layer at one step; None where a snapshot or the user has no such thing.

    Attributes:
        sample: [N, d], one vector an image, eval mode, clean. N >= 2.
        views: [M, q, d], q augmented views of M images.
        labels: [N], class indices.
        probabilities: [P, K], the layer's softmax as the loss takes it, averaged over an image's tokens.
        entropies: [P], entropy of that softmax (of each token, then averaged), nats.
        tokens: sums over token outputs.
        position_probabilities: [T, K], the softmax averaged over images at each position.
        teacher: [P, K], the probabilities that the layer is trained to give, for the same images.
        prototypes: [K, D], weights of the last layer before the softmax.
        start: [N, d], the layer at random initialisation, for the same images.
        base: [N, b], the representation, for the same images.
        gradient_norms: weight layer -> sqrt(E ||g||^2), and
        gradient_snrs: weight layer -> signal-to-noise of its gradients, as `training.gradients` defines both. They are of the
            whole network, whatever the layer: a snapshot has them at the representation. Never empty.
        directional: whether the loss compares cosines alone, so that lengths are free: what says whether images stay apart then
            reads unit vectors.
    """

    sample: NDArray[Any]
    views: NDArray[Any] | None = None
    labels: NDArray[Any] | None = None
    probabilities: NDArray[Any] | None = None
    entropies: NDArray[Any] | None = None
    tokens: TokenSums | None = None
    position_probabilities: NDArray[Any] | None = None
    teacher: NDArray[Any] | None = None
    prototypes: NDArray[Any] | None = None
    start: NDArray[Any] | None = None
    base: NDArray[Any] | None = None
    gradient_norms: Mapping[str, float] | None = None
    gradient_snrs: Mapping[str, float] | None = None
    directional: bool = False

    def __post_init__(self) -> None:
        """Shapes that fit each other; entropies follow from probabilities. Raises UserError."""
        if self.sample.ndim != 2 or min(self.sample.shape) < 1:
            raise UserError(f"features must be [images, dimensions], not of shape {list(self.sample.shape)}")
        if len(self.sample) < 2:
            raise UserError("there is one vector: collapse is about how vectors differ, supply at least two images")
        if self.sample.dtype.kind not in "fiu":
            raise UserError(f"features are of type {self.sample.dtype}: save real numbers, float16 to float64")
        if self.views is not None and (self.views.ndim != 3 or len(self.views) < 2 or self.views.shape[1] < 2):
            raise UserError(
                f"views must be [images, views, dimensions] with two or more of each, not {list(self.views.shape)}"
            )
        if self.labels is not None and self.labels.shape != (len(self.sample),):
            raise UserError(
                f"labels must be one for each of the {len(self.sample)} images, not {list(self.labels.shape)}"
            )
        if self.probabilities is not None and self.entropies is None:
            object.__setattr__(self, "entropies", checked_entropies(self.probabilities))
        if self.teacher is not None and (self.probabilities is None or self.teacher.shape != self.probabilities.shape):
            raise UserError("the teacher's probabilities must be of the same images and prototypes as the layer's own")
        for gradients in (self.gradient_norms, self.gradient_snrs):
            if gradients is not None and not (gradients and np.isfinite(list(gradients.values())).all()):
                raise UserError("gradients must be one number for each weight layer, without NaN or infinity")

    def has(self, need: str) -> bool:
        return getattr(self, need) is not None

    @cached_property
    def moments(self) -> Moments:
        """Raises UserError for NaN, infinity, and sizes whose squares float64 can't hold."""
        found = Moments.of(self.sample)
        if found.absolute > 0 and not 1e-120 < found.absolute < 1e120:
            raise UserError(f"features are of size {found.absolute:.1g}, whose squares no float holds: rescale them")
        return found

    @cached_property
    def unit_moments(self) -> Moments:
        """Of the L2-normalised vectors."""
        return Moments.of(self.sample, unit=True)

    @cached_property
    def distinct(self) -> int:
        """How many different vectors there are, where they could limit the rank; N where images are many."""
        most = MANY * self.sample.shape[1]
        # Vectors that differ in their first few values differ: mostly that is all there is to read.
        if _distinct(self.sample[:, :BEGINNING], most) > most:
            return len(self.sample)
        found = _distinct(self.sample, most)
        return len(self.sample) if found > most else found

    @property
    def ceiling(self) -> int:
        """The largest rank that so many different vectors in d dimensions can have once centred."""
        return min(self.distinct - 1, len(self.moments.mean))  # moments refuse NaN and infinity

    @cached_property
    def spectrum(self) -> Spectrum:
        """Which directions are alive, against rounding and against the spectrum's own shape."""
        return Spectrum.of(self.moments.eigenvalues[: self.ceiling], SAFE * self.rounding_variance, self.distinct)

    @cached_property
    def directional_spectrum(self) -> Spectrum:
        """The same of the directions from the median to each of `rows`, whatever their length: no outlier can feign a drop."""
        directions = Moments.of(unit_rows(self.from_median))
        ceiling = min(self.ceiling, directions.ceiling)
        return Spectrum.of(directions.eigenvalues[:ceiling], images=min(self.distinct, directions.count))

    @cached_property
    def clustering(self) -> Clustering | None:
        return ward(self.distances)

    @cached_property
    def rounding_variance(self) -> float:
        """Variance that the rounding of the stored values adds to a typical coordinate: ulp^2 / 12."""
        size = np.abs(self.rows)
        ulp = self.epsilon * 2.0 ** np.floor(np.log2(np.where(size > 0, size, 1)))
        return float(np.median(np.where(size > 0, ulp**2, 0).mean(0) / 12))

    @cached_property
    def epsilon(self) -> float:
        """Relative spacing of the values that are really there: float32 features that were bfloat16 once say so."""
        return spacing(self.rows)

    @cached_property
    def resolution(self) -> float:
        """Root mean square standard deviation in units in the last place (ulp) of the mean absolute value."""
        moments = self.moments
        spread = np.sqrt(moments.trace / len(moments.mean))
        if spread == 0:
            return 0.0
        ulp = self.epsilon * 2.0 ** np.floor(np.log2(moments.absolute))
        return float(spread / ulp)

    @property
    def resolved(self) -> bool:
        """Whether the spread stands clear of rounding (4 ulp): below it, every measure of shape would read noise."""
        return self.resolution >= 4

    @cached_property
    def rows(self) -> Float:
        """[n, d] float64: all images, or a seeded choice of PAIRWISE of them, in their order."""
        return np.asarray(self.sample[self.chosen], dtype=np.float64)

    @cached_property
    def compared(self) -> Float:
        """`rows` as the loss compares them."""
        return unit_rows(self.rows) if self.directional else self.rows

    @cached_property
    def from_median(self) -> Float:
        """`rows` less their coordinatewise median, [n, d]: a middle that outliers don't move."""
        return np.asarray(self.rows - np.median(self.rows, 0))

    @cached_property
    def median_distances(self) -> Float:
        """How far each of `rows` lies from that median, [n]."""
        return np.asarray(np.linalg.norm(self.from_median, axis=1))

    @cached_property
    def chosen(self) -> NDArray[np.int64]:
        """Which images `rows` holds."""
        return _choice(len(self.sample), PAIRWISE)

    @cached_property
    def distances(self) -> Float:
        """Euclidean distances between `rows`, [n, n], 0 on the diagonal."""
        z = self.rows - self.rows.mean(0)
        squares = (z**2).sum(1)
        found = squares[:, None] + squares - 2 * z @ z.T
        # What a difference of large squares can't resolve is no distance: exact duplicates read 0.
        found[found < 1e-14 * (squares[:, None] + squares)] = 0
        np.fill_diagonal(found, 0)
        return np.asarray(np.sqrt(found))

    @cached_property
    def view_rows(self) -> NDArray[Any]:
        """[m, q, d]: the views of all images, or of a seeded choice of VIEWED of them."""
        assert self.views is not None
        return np.asarray(self.views[_choice(len(self.views), VIEWED)], dtype=np.float64)

    @cached_property
    def compared_views(self) -> Float:
        """`view_rows` as the loss compares them."""
        return unit_rows(self.view_rows) if self.directional else self.view_rows

    @cached_property
    def view_groups(self) -> Groups:
        return Groups.of_views(self.view_rows)

    @cached_property
    def classes(self) -> Groups:
        """Moments by class."""
        assert self.labels is not None
        names, ids = np.unique(self.labels, return_inverse=True)
        return Groups.of(self.sample, ids, len(names))

    def drawn(self, generator: np.random.Generator, most: int = 1000) -> Evidence:
        """A bootstrap sample over images, of at most `most` of them; images of `start`, `base` and labels go with theirs."""
        n = len(self.sample)
        rows = generator.integers(0, n, min(n, most))
        views = None
        if self.views is not None:
            views = self.views[generator.integers(0, len(self.views), min(len(self.views), most))]
        softmax = _softmax_rows(self, rows, generator, most)
        return replace(
            self,
            sample=self.sample[rows],
            views=views,
            labels=None if self.labels is None else self.labels[rows],
            probabilities=None if self.probabilities is None else self.probabilities[softmax],
            entropies=None if self.entropies is None else self.entropies[softmax],
            teacher=None if self.teacher is None else self.teacher[softmax],
            tokens=None if self.tokens is None else self.tokens.drawn(generator, most),
            start=None if self.start is None else self.start[rows],
            base=None if self.base is None else self.base[rows],
        )


def _softmax_rows(
    evidence: Evidence, rows: NDArray[np.int64], generator: np.random.Generator, most: int
) -> NDArray[np.int64]:
    """The same images where the softmax was taken of the same ones, its own draw otherwise."""
    if evidence.probabilities is None or len(evidence.probabilities) == len(evidence.sample):
        return rows
    count = len(evidence.probabilities)
    return generator.integers(0, count, min(count, most))


def _distinct(vectors: NDArray[Any], most: int) -> int:
    """How many different rows there are, counted to `most` + 1."""
    found: set[bytes] = set()
    for row in vectors:
        found.add(row.tobytes())
        if len(found) > most:
            break
    return len(found)


def _choice(count: int, most: int) -> NDArray[np.int64]:
    if count <= most:
        return np.arange(count)
    return np.sort(address(0, "chosen images", count).choice(count, most, replace=False))
