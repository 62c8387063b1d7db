"""Spectra with a drop, a floor or neither, whose cut is known by construction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from collapselab.collapse.statistics.spectrum import Spectrum, power_law


def cliff(alive: int, dead: int, floor: float) -> NDArray[np.float64]:
    return np.concatenate([np.ones(alive), np.full(dead, floor)])


def test_a_power_law_is_what_it_says() -> None:
    np.testing.assert_allclose(power_law(1.5, 4), [1, 2**-1.5, 3**-1.5, 1 / 8])


@pytest.mark.parametrize("alpha", [0.0, 0.7, 1.7, 2.7, 2.99])
@pytest.mark.parametrize("directions", [1, 2, 10, 256])
def test_no_healthy_power_law_has_a_drop(alpha: float, directions: int) -> None:
    found = Spectrum.of(power_law(alpha, directions))
    assert found.drop == pytest.approx(0, abs=1e-9)
    assert found.resolved == found.alive == directions
    assert found.tail == 0


@pytest.mark.parametrize(("alive", "dead"), [(1, 9), (5, 5), (16, 112), (90, 10)])
def test_a_cliff_is_found_where_it_is_and_as_deep_as_it_is(alive: int, dead: int) -> None:
    found = Spectrum.of(cliff(alive, dead, 1e-6))
    assert found.alive == alive and found.resolved == alive + dead
    assert found.drop == pytest.approx(np.log(1e6) - 3 * np.log(1 + 1 / alive))  # less what i^-3 falls there
    assert found.tail == pytest.approx(dead * 1e-6 / (alive + dead * 1e-6))


def test_a_dive_of_less_than_a_tenth_of_the_directions_is_no_drop() -> None:
    found = Spectrum.of(cliff(95, 5, 1e-6))
    assert found.drop == 0 and found.alive == 100


def test_a_drop_may_stretch_over_a_few_directions() -> None:
    # 200 directions: a window holds up to 8. Seven steps of a factor 10, the fourth of a factor 100.
    steps = np.r_[np.zeros(99), 1, 1, 1, 2, 1, 1, 1, np.zeros(93)]
    found = Spectrum.of(10.0 ** -np.r_[0, np.cumsum(steps)])
    assert found.drop == pytest.approx(8 * np.log(10) - 3 * np.log(107 / 100), rel=0.02)
    assert found.alive == 103  # before the largest single step


def test_eigenvalues_below_rounding_are_not_resolved() -> None:
    found = Spectrum.of(np.array([1.0, 0.5, 1e-3, 1e-9]), rounding=1e-6)
    assert found.resolved == 3 and len(found.eigenvalues) == 4
    # Without a stated rounding: what a covariance formed in float64 can't tell from 0.
    assert Spectrum.of(np.array([1.0, 0.5, 2e-15])).resolved == 2


def test_what_lies_under_the_rounding_makes_no_drop() -> None:
    found = Spectrum.of(cliff(8, 8, 1e-12), rounding=1e-9)
    assert found.resolved == found.alive == 8 and found.drop == 0


def test_nothing_has_no_spectrum() -> None:
    for values in (np.zeros(5), np.zeros(1), np.empty(0)):
        found = Spectrum.of(values)
        assert (found.resolved, found.alive, found.tail, found.drop) == (0, 0, 0, 0)


@pytest.mark.parametrize("images", [70, 130, 640])
def test_chance_makes_no_drop(images: int) -> None:
    z = np.random.default_rng(0).standard_normal((images, 64))
    found = Spectrum.of(np.linalg.eigvalsh(np.cov(z, rowvar=False))[::-1])
    assert found.drop < np.log(2)


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float64, st.integers(1, 40), elements=st.floats(1e-5, 1e5)),
    st.sampled_from([2.0**-30, 0.125, 4.0, 2.0**30]),
)
def test_scale_changes_no_cut_and_bounds_hold(values: NDArray[np.float64], scale: float) -> None:
    values = np.sort(values)[::-1]
    found, scaled = Spectrum.of(values), Spectrum.of(scale * values)
    assert (found.resolved, found.alive) == (scaled.resolved, scaled.alive)
    assert found.drop == pytest.approx(scaled.drop, abs=1e-6) and found.tail == pytest.approx(scaled.tail)
    assert 1 <= found.alive <= found.resolved <= len(values)
    assert found.drop >= 0 and 0 <= found.tail < 1
