"""Intervals, ratios, distances and shifts of spectra that are known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from collapselab.collapse.statistics.moments import Moments
from collapselab.report.puzzle.effects import Interval, Shift, apart, decades, moved, rank_factor, ratio
from collapselab.report.puzzle.taken import PAPER, Index, Taken, Way

Array = NDArray[Any]
ALL = PAPER._replace(tokens="pooled")
LAST = 40


def test_students_interval_over_seeds() -> None:
    found = Interval.of([1.0, 2.0, 3.0, math.nan])
    half = 2.919986 / math.sqrt(3)  # Student's t with 2 degrees of freedom, 5 % above
    assert (found.mean, found.seeds) == (2, 3)
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), abs=1e-5)
    assert Interval.of([4.0]) == Interval(4, 4, 4, 1) and Interval.of([4.0]).words() == "4"
    assert Interval.of([]).words() == "undefined"
    assert Interval.of([2.0, 2.0]).words(of="both") == "2 (both)"
    assert Interval.of([0.5, 0.99]).within(0, 1).words(2) == "0.74 (0 to 1)"
    assert ratio([2.0, 8.0], [1.0, 1.0]).mean == pytest.approx(4)  # geometric


def test_distances_of_spectra_are_powers_of_ten() -> None:
    a, b = np.array([1.0, 0.1]), np.array([100.0, 10.0])
    assert decades(a, b) == pytest.approx(2) and decades(a, b, shape=True) == pytest.approx(0)
    assert decades(np.array([1.0, 1e-3]), np.array([1.0, 1e-1]), shape=True) == pytest.approx(2 / math.sqrt(2))
    assert decades(np.array([1.0, 0.0]), np.array([1.0, 1e-30])) == 0  # both below what is drawn


def taken_of(
    mean: Array, covariance: Array, step: int = 0, way: Way = ALL, regime: str = "both", **about: Any
) -> Taken:
    moments = Moments(1000, mean, 1000 * covariance, 1.0)
    entropies = {"entropy": 1.0, "marginal_entropy": 1.0} | about
    return Taken(regime, 0, "student", step, way, moments, True, **entropies)


def test_a_shift_along_one_logit() -> None:
    start = taken_of(np.zeros(4), np.eye(4))
    end = taken_of(np.array([10.0, 0, 0, 0]) + 7, np.eye(4), LAST)  # what moves all logits alike is no shift
    found = Shift.of(start, end)
    assert found.size == pytest.approx(math.sqrt((7.5**2 + 3 * 2.5**2) / 4))
    assert found.along == pytest.approx(0.75)
    assert (found.variance, found.likeness, found.rank) == pytest.approx((1, 1, 1))
    turned = Shift.of(start, taken_of(np.array([10.0, 0, 0, 0]), np.diag([1.0, 6, 0, 0]), LAST))
    assert turned.variance == pytest.approx(2) and turned.likeness == pytest.approx(1 / math.sqrt(3))


def test_switches_and_movements_are_seed_by_seed() -> None:
    flat, steep = np.eye(4), np.diag([1.0, 1e-30, 1e-30, 1e-30])
    train = ALL._replace(mode="train")
    index = Index(
        [
            taken_of(np.zeros(4), flat, LAST, train),
            taken_of(np.zeros(4), steep, LAST),
            taken_of(np.zeros(4), 100 * flat, 0),
        ]
    )
    assert rank_factor(index, "both", "student", train, ALL).mean == pytest.approx(4)
    assert math.isnan(apart(index, "student", ALL).mean)  # one regime has nothing to lie apart from
    assert moved(index, "both", "student", ALL).mean == pytest.approx(math.sqrt((2**2 + 3 * 14**2) / 4))


def test_regimes_lie_as_far_apart_as_their_pairs_on_average() -> None:
    sizes = {"a": 1.0, "b": 10.0, "c": 100.0}
    index = Index(taken_of(np.zeros(4), size * np.eye(4), LAST, regime=name) for name, size in sizes.items())
    assert apart(index, "student", ALL).mean == pytest.approx((1 + 1 + 2) / 3)
    assert apart(index, "student", ALL, shape=True).mean == pytest.approx(0)
