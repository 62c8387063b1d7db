"""What each way of taking a network's outputs does to their spectrum, over seeds: intervals, ratios and distances."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from collapselab.report.inputs import Floats
from collapselab.report.intervals import t_interval
from collapselab.report.puzzle.taken import FLOOR, Index, Taken, Way
from collapselab.report.tables import short


@dataclass(frozen=True)
class Interval:
    """A mean over seeds and Student's interval around it; low and high equal the mean where there is one seed."""

    mean: float
    low: float
    high: float
    seeds: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Interval:
        """Over the defined values; NaN throughout where there is none."""
        x = np.array([value for value in values if math.isfinite(value)], dtype=np.float64)
        if len(x) == 0:
            return cls(math.nan, math.nan, math.nan, 0)
        mean = float(x.mean())
        return cls(mean, *(t_interval(x) or (mean, mean)), len(x))

    def map(self, change: Callable[[float], float]) -> Interval:
        """By a rising function: exp of logarithms gives a geometric mean."""
        return Interval(change(self.mean), change(self.low), change(self.high), self.seeds)

    def within(self, low: float, high: float) -> Interval:
        """Ends beyond what the quantity can be, as few seeds give, are drawn in to it."""
        return Interval(self.mean, max(self.low, low), min(self.high, high), self.seeds)

    def words(self, digits: int = 3, of: str = "") -> str:
        """ "1.2 (1.1 to 1.3)", or "1.2 (1.1 to 1.3; of)"; one seed, or seeds that agree to these digits, give no interval."""
        if math.isnan(self.mean):
            return "undefined"
        low, high = short(self.low, digits), short(self.high, digits)
        around = f"{low} to {high}" if low != high else ""
        beside = "; ".join(part for part in (around, of) if part)
        return short(self.mean, digits) + (f" ({beside})" if beside else "")


def ratio(top: Iterable[float], bottom: Iterable[float]) -> Interval:
    """top / bottom seed by seed, on a log scale."""
    logs = [math.log(a / b) if a > 0 and b > 0 else math.nan for a, b in zip(top, bottom, strict=True)]
    return Interval.of(logs).map(math.exp)


def rank_factor(index: Index, regime: str, network: str, way: Way, base: Way, *, end: bool = True) -> Interval:
    """Effective rank taken one way over that taken another."""
    return ratio(*(_ranks(index.get(regime, network, one, end=end)) for one in (way, base)))


def _ranks(taken: Sequence[Taken]) -> list[float]:
    return [one.effective_rank for one in taken]


def decades(a: Floats, b: Floats, *, shape: bool = False) -> float:
    """Root mean square distance of two spectra [d] in powers of ten, those below FLOOR drawn up to it.

    `shape`: after each is divided by its own largest eigenvalue, as axes of their own make them look.
    """
    logs = [np.log10(np.maximum(one, 10.0**FLOOR)) for one in (a, b)]
    if shape:
        logs = [one - one[0] for one in logs]
    return float(np.sqrt(((logs[0] - logs[1]) ** 2).mean()))


def moved(index: Index, regime: str, network: str, way: Way, *, shape: bool = False) -> Interval:
    """How far training moved the spectrum, in powers of ten."""
    pairs = zip(index.get(regime, network, way), index.get(regime, network, way, end=False), strict=True)
    return Interval.of(decades(end.eigenvalues, start.eigenvalues, shape=shape) for end, start in pairs)


def apart(index: Index, network: str, way: Way, *, shape: bool = False) -> Interval:
    """How far the regimes lie from each other at the end, in powers of ten: the mean over pairs of them, seed by seed."""
    by_regime = [index.get(name, network, way) for name in index.regimes]
    seeds = zip(*by_regime, strict=False)  # a regime may have seeds of its own; the first ones are compared
    return Interval.of(_mean_pair([one.eigenvalues for one in ends], shape=shape) for ends in seeds)


def _mean_pair(values: Sequence[Floats], *, shape: bool) -> float:
    """NaN where there is no pair."""
    pairs = [decades(a, b, shape=shape) for place, a in enumerate(values) for b in values[:place]]
    return sum(pairs) / len(pairs) if pairs else math.nan


def between_seeds(index: Index, regime: str, network: str, way: Way, *, shape: bool = False) -> float:
    """The same between two seeds' initialisations, the mean over pairs: what chance alone moves. NaN for one seed."""
    return _mean_pair([one.eigenvalues for one in index.get(regime, network, way, end=False)], shape=shape)


@dataclass(frozen=True)
class Shift:
    """What training did to the mean of a network's logits, and to their covariance beside it, in one run.

    Attributes:
        size: distance that the mean moved, in root mean square distances of the tokens from it at initialisation.
        along: share of that movement in its largest logit (what moves all logits alike, which no softmax sees, left out).
        variance: total variance of the other logits, over that at initialisation.
        likeness: cosine between the two covariances of the other logits; 1: the same shape.
        rank: effective rank of all logits, over that at initialisation.
    """

    size: float
    along: float
    variance: float
    likeness: float
    rank: float

    @classmethod
    def of(cls, start: Taken, end: Taken) -> Shift:
        change = end.moments.mean - start.moments.mean
        change = change - change.mean()
        squares = change**2
        place = int(squares.argmax())
        before, after = (_without(one, place) for one in (start, end))
        return cls(
            size=float(np.sqrt(squares.sum() / start.moments.trace)),
            along=float(squares[place] / squares.sum()) if squares.any() else math.nan,
            variance=float(np.trace(after) / np.trace(before)),
            likeness=float((before * after).sum() / np.linalg.norm(before) / np.linalg.norm(after)),
            rank=end.effective_rank / start.effective_rank,
        )


def _without(taken: Taken, place: int) -> Floats:
    kept = np.delete(np.arange(len(taken.moments.mean)), place)
    return np.asarray(taken.moments.covariance[np.ix_(kept, kept)])


def shifts(index: Index, regime: str, network: str, way: Way) -> list[Shift]:
    """One a seed."""
    starts, found = (index.get(regime, network, way, end=end) for end in (False, True))
    return [Shift.of(start, end) for start, end in zip(starts, found, strict=True)]
