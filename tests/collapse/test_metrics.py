"""Metrics against closed forms and plain NumPy, and the properties that they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.stats import entropy, ortho_group

from collapselab.collapse.moments import Moments, entropy_rank
from collapselab.collapse.registry import Evidence, compute_all, load_metrics


def of(sample: NDArray[np.floating], **more: NDArray[np.floating]) -> dict[str, float | None]:
    return compute_all(Evidence(sample=sample, **more))


def gaussian(n: int, d: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal((n, d))


def with_spectrum(eigenvalues: NDArray[np.float64], n: int = 400) -> NDArray[np.float64]:
    """Features whose centred covariance has exactly these eigenvalues."""
    d = len(eigenvalues)
    left = np.linalg.qr(gaussian(n, d) - gaussian(n, d).mean(0))[0]
    left = np.linalg.qr(left - left.mean(0))[0]
    right = ortho_group.rvs(d, random_state=1)
    return np.sqrt(n) * (left * np.sqrt(eigenvalues)) @ right.T


def test_a_known_spectrum_gives_both_ranks_in_closed_form() -> None:
    eigenvalues = np.array([8.0, 4.0, 2.0, 1.0])
    values = of(with_spectrum(eigenvalues))
    assert values["effective_rank"] == pytest.approx(np.exp(entropy(np.sqrt(eigenvalues))))
    assert values["spectral_entropy_rank"] == pytest.approx(np.exp(entropy(eigenvalues)))
    assert values["log_trace"] == pytest.approx(np.log(15))


@pytest.mark.parametrize("rank", [1, 3, 7])
def test_equal_directions_count_themselves(rank: int) -> None:
    values = of(with_spectrum(np.r_[np.ones(rank), np.full(9 - rank, 1e-14)]))
    assert values["effective_rank"] == pytest.approx(rank, rel=1e-4)
    assert values["spectral_entropy_rank"] == pytest.approx(rank, rel=1e-4)


def test_a_constant_has_no_rank_and_no_spread() -> None:
    values = of(np.full((50, 8), 3.0, dtype=np.float32))
    assert values["effective_rank"] is None and values["spectral_entropy_rank"] is None and values["log_trace"] is None
    assert values["normalised_std"] == pytest.approx(0, abs=1e-12)
    assert values["mean_share"] == pytest.approx(1)


def test_rounding_noise_is_not_read_as_a_healthy_spectrum() -> None:
    noise = (1000 + 1e-5 * gaussian(200, 16)).astype(np.float32)
    assert of(noise)["effective_rank"] is None


def test_isotropic_features_have_normalised_std_one_over_sqrt_d() -> None:
    values = of(gaussian(20_000, 32))
    assert values["normalised_std"] == pytest.approx(32**-0.5, rel=0.02)
    assert values["inverse_sqrt_dim"] == pytest.approx(32**-0.5)
    assert values["mean_share"] == pytest.approx(0, abs=1e-3)


def test_zero_vectors_are_defined() -> None:
    values = of(np.zeros((10, 4)))
    assert values["normalised_std"] == 0 and values["mean_share"] is None and values["effective_rank"] is None


def test_ranks_stand_under_their_ceiling_when_images_are_few() -> None:
    values = of(gaussian(6, 32))
    assert values["rank_ceiling"] == 5
    assert values["effective_rank"] is not None and values["effective_rank"] <= 5 + 1e-9


@pytest.mark.parametrize("signal", [0.0, 0.5, 3.0])
def test_variance_ratio_recovers_signal_over_noise_without_bias(signal: float) -> None:
    images = np.random.default_rng(0).standard_normal((4000, 1, 16)) * signal**0.5
    views = images + np.random.default_rng(1).standard_normal((4000, 4, 16))
    assert of(views.mean(1), views=views)["variance_ratio"] == pytest.approx(signal, abs=0.03)


def test_variance_ratio_is_undefined_where_views_never_differ() -> None:
    views = np.repeat(gaussian(20, 5)[:, None], 4, axis=1)
    assert of(views[:, 0], views=views)["variance_ratio"] is None


def test_the_median_ratio_is_blind_to_a_few_images_thrown_far_out() -> None:
    rng = np.random.default_rng(0)
    views = 0.01 * rng.standard_normal((200, 1, 16)) + 0.1 * rng.standard_normal((200, 4, 16))
    views[:6] += 1000 * rng.standard_normal((6, 1, 16))
    values = of(views[:, 0], views=views)
    assert values["variance_ratio"] is not None and values["variance_ratio"] > 1e3
    assert values["median_variance_ratio"] == pytest.approx(
        0.25, abs=0.06
    )  # q views leave 1 / q of the noise in their mean
    assert values["median_distance"] is not None and values["median_distance"] < 1


def test_the_median_distance_of_a_gaussian_is_that_of_its_chi_distribution() -> None:
    assert of(gaussian(20_000, 9))["median_distance"] == pytest.approx(
        np.sqrt(8.3428), rel=0.01
    )  # median of chi^2 with 9 d.o.f.


def test_the_spread_of_directions_of_two_bundles_is_half_their_angle() -> None:
    angle = np.deg2rad(40)
    one, other = np.array([1.0, 0, 0]), np.array([np.cos(angle), np.sin(angle), 0])
    z = np.repeat(np.stack([one, other]), 50, axis=0) * np.arange(1, 101)[:, None]  # lengths do not matter
    assert of(z)["direction_spread"] == pytest.approx(1 - np.cos(angle / 2))
    assert of(np.outer(np.arange(1, 9.0), np.ones(3)))["direction_spread"] == pytest.approx(0, abs=1e-12)
    assert of(gaussian(2000, 64))["direction_spread"] == pytest.approx(1, abs=0.1)
    assert of(np.zeros((5, 3)))["direction_spread"] is None


def test_entropies_of_known_probabilities() -> None:
    half = np.tile([0.5, 0.5, 0, 0], (10, 1))
    both = np.r_[np.tile([1.0, 0, 0, 0], (5, 1)), np.tile([0, 1.0, 0, 0], (5, 1))]
    for p in (half, both):
        values = of(gaussian(10, 4), probabilities=p, entropies=entropy(p, axis=1))
        assert values["marginal_entropy"] == pytest.approx(np.log(2))
        assert values["log_k"] == pytest.approx(np.log(4))
    assert of(gaussian(10, 4), probabilities=both, entropies=entropy(both, axis=1))["mean_entropy"] == 0


SHAPE_ONLY = (
    "direction_spread",
    "effective_rank",
    "spectral_entropy_rank",
    "rank_ceiling",
    "mean_share",
    "normalised_std",
)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(1e-3, 1e3), n=st.integers(5, 60), d=st.integers(2, 20))
def test_scale_rotation_and_order_change_no_shape(seed: int, scale: float, n: int, d: int) -> None:
    z = gaussian(n, d, seed) + 1
    rotation = ortho_group.rvs(d, random_state=seed)
    plain = of(z)
    for name, value in of((scale * z)[np.random.default_rng(seed).permutation(n)]).items():
        if name in SHAPE_ONLY:
            assert value == pytest.approx(plain[name], rel=1e-6), name
    turned = of(z @ rotation)
    for name in ("effective_rank", "spectral_entropy_rank", "mean_share", "log_trace"):
        assert turned[name] == pytest.approx(plain[name], rel=1e-6), name


@settings(max_examples=40, deadline=None)
@given(
    arrays(np.float64, st.tuples(st.integers(2, 30), st.integers(1, 8)), elements=st.floats(-100, 100)),
    st.integers(1, 29),
)
def test_moments_of_parts_merge_to_the_moments_of_the_whole(x: NDArray[np.float64], cut: int) -> None:
    cut = min(cut, len(x) - 1)
    whole, merged = Moments.of(x), Moments.of(x[:cut]).merge(Moments.of(x[cut:]))
    assert merged.count == whole.count
    np.testing.assert_allclose(merged.mean, whole.mean, atol=1e-9)
    np.testing.assert_allclose(merged.scatter, whole.scatter, atol=1e-6)
    assert merged.absolute == pytest.approx(whole.absolute)


def test_moments_from_uncentred_sums_are_the_same() -> None:
    x = gaussian(100, 6) + 2
    rebuilt = Moments.of_uncentred(100, x.mean(0), x.T @ x / 100)
    np.testing.assert_allclose(rebuilt.covariance, np.cov(x, rowvar=False, bias=True), atol=1e-12)
    np.testing.assert_allclose(
        rebuilt.eigenvalues, np.linalg.eigvalsh(np.cov(x, rowvar=False, bias=True))[::-1], atol=1e-12
    )


@given(arrays(np.float64, st.integers(1, 20), elements=st.floats(1e-6, 1e6)))
def test_entropy_rank_lies_between_one_and_the_count(weights: NDArray[np.float64]) -> None:
    assert 1 - 1e-9 <= entropy_rank(weights) <= len(weights) + 1e-9


def test_every_metric_says_what_it_is() -> None:
    found = load_metrics()
    assert {"effective_rank", "spectral_entropy_rank", "normalised_std", "variance_ratio", "mean_entropy"} <= set(found)
    for metric in found.values():
        assert metric.needs and metric.spec.formula and metric.spec.source and metric.spec.version >= 1
