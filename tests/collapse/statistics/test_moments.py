"""Moments of vectors and of groups of them: against NumPy on the whole array, in parts, in blocks, from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from collapselab.collapse.statistics import moments
from collapselab.collapse.statistics.moments import Groups, Moments, blocks, entropy_rank, unit_rows
from collapselab.errors import UserError


def gaussian(*shape: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal(shape)


def assert_same(found: Groups, wanted: Groups) -> None:
    np.testing.assert_array_equal(found.counts, wanted.counts)
    np.testing.assert_allclose(found.means, wanted.means, atol=1e-9)
    np.testing.assert_allclose(found.spreads, wanted.spreads, atol=1e-7)
    np.testing.assert_allclose(found.within, wanted.within, atol=1e-7)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows a block, so that small arrays need many."""
    monkeypatch.setattr(moments, "BLOCK", 32)


def test_blocks_are_bounded_float64_and_miss_nothing(small_blocks: None) -> None:
    x = gaussian(50, 5).astype(np.float16)
    read = list(blocks(x))
    assert [len(block) for block in read] == [6] * 8 + [2]  # 6 rows of 5 are the most that 32 numbers hold
    assert all(block.dtype == np.float64 for block in read)
    np.testing.assert_array_equal(np.concatenate(read), x)


def test_a_row_longer_than_a_block_is_still_read(small_blocks: None) -> None:
    assert [block.shape for block in blocks(gaussian(3, 100))] == [(1, 100)] * 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_found_in_any_block_and_named_by_row(small_blocks: None, bad: float) -> None:
    x = gaussian(50, 5)
    x[37, 2] = bad
    with pytest.raises(UserError, match="row 37 "):
        Moments.of(x)
    with pytest.raises(UserError, match="row 37 "):
        Groups.of(x, np.zeros(50, dtype=int), 1)


def test_no_row_is_an_error() -> None:
    with pytest.raises(UserError, match="no row"):
        Moments.of(np.empty((0, 4)))


def test_moments_are_those_of_numpy() -> None:
    x = gaussian(100, 6) @ gaussian(6, 6, seed=1) + 3
    found, covariance = Moments.of(x), np.cov(x, rowvar=False, bias=True)
    assert found.count == 100 and found.ceiling == 6
    np.testing.assert_allclose(found.mean, x.mean(0))
    np.testing.assert_allclose(found.covariance, covariance)
    np.testing.assert_allclose(found.second, x.T @ x / 100)
    np.testing.assert_allclose(found.eigenvalues, np.linalg.eigvalsh(covariance)[::-1])
    np.testing.assert_allclose(found.uncentred_eigenvalues, np.linalg.svd(x, compute_uv=False) ** 2 / 100)
    assert found.trace == pytest.approx(x.var(0).sum())
    assert found.mean_square == pytest.approx((x**2).mean())
    assert found.absolute == pytest.approx(np.abs(x).mean())


def test_few_vectors_leave_directions_at_zero_never_below() -> None:
    found = Moments.of(gaussian(4, 9))
    assert found.ceiling == 3
    assert (found.eigenvalues >= 0).all() and (np.diff(found.eigenvalues) <= 0).all()
    np.testing.assert_allclose(found.eigenvalues[3:], 0, atol=1e-14)


def test_of_unit_vectors_length_does_not_matter() -> None:
    x = gaussian(40, 5)
    lengths = np.random.default_rng(1).uniform(0.1, 9, (40, 1))
    np.testing.assert_allclose(Moments.of(x * lengths, unit=True).scatter, Moments.of(x, unit=True).scatter)
    assert Moments.of(x, unit=True).mean_square * 5 == pytest.approx(1)
    assert not unit_rows(np.zeros((3, 4))).any()


def test_a_mean_of_a_million_costs_float32_features_no_variance() -> None:
    # Steps of 1 / 8 are exact beside a million in float32, so the variance is known.
    steps = np.random.default_rng(0).integers(-8, 9, (5000, 4)) / 8
    found = Moments.of((steps + 1e6).astype(np.float32))
    np.testing.assert_allclose(found.covariance, np.cov(steps, rowvar=False, bias=True), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_a_memory_mapped_file_reads_as_the_array_does(small_blocks: None, tmp_path: Path, kind: Any) -> None:
    x, ids = gaussian(200, 7).astype(kind), np.random.default_rng(1).integers(0, 4, 200)
    np.save(tmp_path / "features.npy", x)
    mapped = np.load(tmp_path / "features.npy", mmap_mode="r")
    whole, read = Moments._of_block(x.astype(np.float64)), Moments.of(mapped)
    assert read.count == 200 and read.absolute == pytest.approx(whole.absolute)
    np.testing.assert_allclose(read.mean, whole.mean, atol=1e-12)
    np.testing.assert_allclose(read.scatter, whole.scatter, atol=1e-10)
    assert_same(Groups.of(mapped, ids, 4), by_hand(x.astype(np.float64), ids, 4))


matrices = arrays(np.float64, st.tuples(st.integers(3, 30), st.integers(1, 6)), elements=st.floats(-100, 100))


@settings(max_examples=40, deadline=None)
@given(matrices, st.integers(1, 29), st.integers(1, 29))
def test_parts_merge_to_the_whole_in_any_order(x: NDArray[np.float64], first: int, second: int) -> None:
    a, b = sorted((min(first, len(x) - 2), min(second, len(x) - 1)))
    parts = [Moments.of(part) for part in (x[:a], x[a:b], x[b:]) if len(part)]
    whole = Moments.of(x)
    for order in (parts, parts[::-1]):
        merged = order[0]
        for part in order[1:]:
            merged = merged.merge(part)
        assert merged.count == whole.count
        np.testing.assert_allclose(merged.mean, whole.mean, atol=1e-9)
        np.testing.assert_allclose(merged.scatter, whole.scatter, atol=1e-6)
        assert merged.absolute == pytest.approx(whole.absolute, abs=1e-9)


def test_uncentred_sums_give_the_same_moments() -> None:
    x = gaussian(100, 6) + 2
    rebuilt = Moments.of_uncentred(100, x.mean(0), x.T @ x / 100)
    np.testing.assert_allclose(rebuilt.covariance, np.cov(x, rowvar=False, bias=True), atol=1e-12)
    np.testing.assert_allclose(rebuilt.second, x.T @ x / 100, atol=1e-12)


def by_hand(x: NDArray[np.float64], ids: NDArray[np.int64], number: int) -> Groups:
    """Groups without blocks or merging, one at a time."""
    parts = [x[ids == group] for group in range(number)]
    means = np.stack([part.mean(0) if len(part) else np.zeros(x.shape[1]) for part in parts])
    scatters = [(part - mean).T @ (part - mean) for part, mean in zip(parts, means, strict=True)]
    counts = np.array([len(part) for part in parts])
    return Groups(counts, means, np.array([np.trace(scatter) for scatter in scatters]), np.sum(scatters, 0))


@settings(max_examples=40, deadline=None)
@given(matrices, st.integers(1, 5), st.integers(0, 1000), st.integers(0, 30))
def test_groups_are_those_by_hand_whole_or_merged(x: NDArray[np.float64], number: int, seed: int, cut: int) -> None:
    ids = np.random.default_rng(seed).integers(0, number, len(x))  # some groups may be empty
    assert_same(Groups.of(x, ids, number), by_hand(x, ids, number))
    halves = [Groups.of(x[part], ids[part], number) for part in (slice(0, cut), slice(cut, None))]
    assert_same(halves[0].merge(halves[1]), by_hand(x, ids, number))
    assert_same(halves[1].merge(halves[0]), by_hand(x, ids, number))


def test_merging_with_nothing_changes_nothing() -> None:
    groups = Groups.of(gaussian(20, 3), np.arange(20) % 4, 5)  # the fifth is empty
    assert_same(groups.merge(Groups.empty(5, 3)), groups)
    assert_same(Groups.empty(5, 3).merge(groups), groups)
    assert groups.counts[4] == 0 and not groups.means[4].any() and groups.spreads[4] == 0


def test_scatter_splits_into_within_and_between_classes() -> None:
    x, ids = gaussian(300, 4) + 5, np.random.default_rng(2).integers(0, 3, 300)
    classes, whole = Groups.of(x, ids, 3), Moments.of(x)
    step = classes.means - whole.mean
    np.testing.assert_allclose(classes.within + (step * classes.counts[:, None]).T @ step, whole.scatter)
    assert classes.spreads.sum() == pytest.approx(np.trace(classes.within))


def test_classes_with_a_large_mean_keep_their_variance(small_blocks: None) -> None:
    x, ids = gaussian(120, 3), np.arange(120) % 3
    found, wanted = Groups.of(x + 1e6, ids, 3), by_hand(x, ids, 3)
    np.testing.assert_allclose(found.within, wanted.within, rtol=1e-7, atol=1e-6)
    np.testing.assert_allclose(found.means - 1e6, wanted.means, atol=1e-8)


def test_views_are_grouped_by_their_image() -> None:
    views = gaussian(30, 4, 5)
    found = Groups.of_views(views)
    assert (found.counts == 4).all()
    np.testing.assert_allclose(found.means, views.mean(1))
    np.testing.assert_allclose(found.spreads, views.var(1).sum(1) * 4)
    pooled = sum(np.cov(image, rowvar=False, bias=True) * 4 for image in views)
    np.testing.assert_allclose(found.within, pooled)


def test_tokens_are_grouped_by_their_position() -> None:
    tokens = gaussian(25, 6, 3)
    found = Groups.of(tokens.reshape(-1, 3), np.tile(np.arange(6), 25), 6)
    np.testing.assert_allclose(found.means, tokens.mean(0), atol=1e-12)
    np.testing.assert_allclose(found.spreads, tokens.var(0).sum(1) * 25)


def test_entropy_rank_counts_equal_weights_and_skips_zeros() -> None:
    assert entropy_rank(np.full(7, 0.3)) == pytest.approx(7)
    assert entropy_rank(np.array([2.0, 0, 2.0, 0])) == pytest.approx(2)
    assert entropy_rank(np.array([0.5, 0.25, 0.25])) == pytest.approx(2**1.5)  # 1.5 bits


@pytest.mark.parametrize("d", [1, 2, 7, 64])
@pytest.mark.parametrize("offset", [0.0, 1e-3, 3.0, 1e4])
def test_both_spectra_of_one_reduction_are_those_of_numpy(d: int, offset: float) -> None:
    x = gaussian(200, d) * np.arange(1, d + 1) ** -1.0 + offset * gaussian(d, seed=1)
    found = Moments.of(x)
    for ours, matrix in ((found.eigenvalues, found.covariance), (found.uncentred_eigenvalues, found.second)):
        wanted = np.linalg.eigvalsh(matrix)[::-1]
        np.testing.assert_allclose(ours, wanted.clip(min=0), atol=1e-13 * wanted[0])


def test_a_large_mean_costs_the_centred_spectrum_nothing() -> None:
    x = gaussian(200, 16) * 2.0 ** -np.arange(16)
    far = Moments(200, 1e9 * np.ones(16), Moments.of(x).scatter, 1e9)
    np.testing.assert_allclose(far.eigenvalues, Moments.of(x).eigenvalues, rtol=1e-6)
