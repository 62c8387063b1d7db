"""Clusters that are known by construction, and other libraries' partitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import ortho_group
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score, pairwise_distances

from collapselab.collapse.statistics.clustering import LEAST, MOST, Clustering, ward


def found(z: NDArray[np.float64]) -> Clustering:
    clustering = ward(pairwise_distances(z))
    assert clustering is not None
    return clustering


def places(
    clusters: int, each: int, spread: float, d: int = 8, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Images around the corners of a simplex, a distance of sqrt(2) apart, and the corner of each."""
    labels = np.repeat(np.arange(clusters), each)
    noise = spread * np.random.default_rng(seed).standard_normal((len(labels), d))
    return np.eye(clusters, d)[labels] + noise, labels


@pytest.mark.parametrize("clusters", [2, 3, 7])
def test_separate_clusters_are_counted_and_told_apart(clusters: int) -> None:
    z, labels = places(clusters, 60, spread=0.02)
    clustering = found(z)
    held = clustering.members >= 0
    assert clustering.number == clusters and clustering.jump > 20
    assert adjusted_rand_score(labels[held], clustering.members[held]) == 1
    assert held.mean() >= 0.97  # 2 % are left out as outliers


def test_within_is_the_share_of_variance_inside_the_clusters_found() -> None:
    z, _ = places(4, 50, spread=0.1)
    clustering = found(z)
    held = clustering.members >= 0
    kept, names = z[held], clustering.members[held]
    means = np.array([kept[names == name].mean(0) for name in names])
    nearest = np.sort(((kept - means) ** 2).sum(1))[: round(0.9 * len(kept))]  # without stragglers
    assert clustering.within == pytest.approx(nearest.mean() / ((kept - kept.mean(0)) ** 2).sum(1).mean())
    # d s^2 inside against that and the corners' (1 - 1 / C) in all
    assert 0.75 < clustering.within / (0.08 / (0.08 + 0.75)) < 1


def test_exact_copies_leave_nothing_within() -> None:
    z, labels = places(3, 30, spread=0)
    clustering = found(z)
    assert clustering.number == 3 and clustering.within == pytest.approx(0, abs=1e-12)
    assert clustering.jump > 1e9
    assert adjusted_rand_score(labels, clustering.members) == 1


def test_the_partition_is_that_of_scikit_learn() -> None:
    z, _ = places(5, 40, spread=0.25)
    clustering = found(z)
    held = clustering.members >= 0
    # Splinters would make the two differ: scikit-learn knows none.
    other = AgglomerativeClustering(clustering.number, linkage="ward").fit_predict(z[held])
    assert adjusted_rand_score(other, clustering.members[held]) == 1


def test_halving_a_line_gives_a_jump_of_eight() -> None:
    # n images a distance h apart: the halves merge at a cost of n^3 h^2 / 16, the quarters at an eighth of it.
    assert found(np.arange(256.0)[:, None]).jump == pytest.approx(8, rel=0.35)


@pytest.mark.parametrize("seed", range(5))
def test_a_gaussian_cloud_has_no_jump_to_speak_of(seed: int) -> None:
    assert found(np.random.default_rng(seed).standard_normal((300, 16))).jump < 4


def test_images_thrown_far_out_make_no_clusters() -> None:
    z, labels = places(3, 100, spread=0.02)
    z[::75] += 1000 * np.random.default_rng(1).standard_normal((4, 8))
    clustering = found(z)
    assert clustering.number == 3
    assert (clustering.members[::75] == -1).all()
    held = clustering.members >= 0
    assert adjusted_rand_score(labels[held], clustering.members[held]) == 1


def test_a_splinter_is_no_cluster() -> None:
    z, _ = places(3, 100, spread=0.02)
    z = np.r_[z[:200], z[200:203]]  # of the third place three images are left
    clustering = found(z)
    assert clustering.number == 2 and (clustering.members[200:] == -1).all()


def test_too_few_images_or_one_point_cannot_be_clustered() -> None:
    few = np.random.default_rng(0).standard_normal((LEAST - 1, 4))
    assert ward(pairwise_distances(few)) is None
    assert ward(np.zeros((50, 50))) is None


def test_there_are_never_more_clusters_than_are_looked_for() -> None:
    z, _ = places(150, 6, spread=1e-4, d=150)
    assert found(z).number <= MOST


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(1e-3, 1e3), clusters=st.integers(2, 5))
def test_rotation_shift_scale_and_order_change_nothing(seed: int, scale: float, clusters: int) -> None:
    z, _ = places(clusters, 20, spread=0.05, d=6, seed=seed)
    order = np.random.default_rng(seed).permutation(len(z))
    plain, moved = found(z), found((scale * z @ ortho_group.rvs(6, random_state=seed) + 3)[order])
    assert moved.number == plain.number
    assert moved.within == pytest.approx(plain.within, rel=1e-6)
    assert moved.jump == pytest.approx(plain.jump, rel=1e-6)
    assert adjusted_rand_score(moved.members, plain.members[order]) == 1
    assert 0 <= plain.within <= 1 and plain.jump >= 1
