"""Metrics on features whose values follow from arithmetic."""

from __future__ import annotations

from math import comb, cos, exp, log, radians, sqrt
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import zeta
from scipy.stats import entropy

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import compute_all
from collapselab.collapse.token_sums import TokenSums
from tests.oracles import families

RANKS = ("effective_rank", "spectral_entropy_rank", "nesum", "participation_ratio", "numerical_rank")
RANKS += ("rank_above_hundredth", "resolved_directions", "live_directions", "stable_rank", "rankme")


def of(sample: NDArray[Any] | None = None, **more: Any) -> dict[str, float | None]:
    if sample is None:
        sample = np.random.default_rng(0).standard_normal((10, 3))
    tokens = more.pop("raw_tokens", None)
    return compute_all(Evidence(sample=sample, tokens=None if tokens is None else TokenSums.of(tokens), **more))


def check(values: dict[str, float | None], expected: dict[str, float | None], **tolerance: float) -> None:
    """`rel` and `abs` as pytest.approx takes them."""
    for name, value in expected.items():
        if value is None:
            assert values[name] is None, name
        else:
            assert values[name] == pytest.approx(value, **({"abs": 1e-9} | tolerance)), name


@pytest.mark.parametrize("value", [1.0, 0.1, 2.5])
def test_a_constant_has_size_but_no_shape(value: float) -> None:
    values = of(families.constant(value), labels=np.arange(50) % 2)
    check(values, {"mean_squared_norm": 8 * value**2, "mean_share": 1, "normalised_std": 0, "median_distance": 0})
    check(values, {"direction_spread": 0, "uniformity": 0, "self_cluster_uncentred": 1, "stable_rank": 1})
    check(values, {"rankme": 1}, rel=1e-4)
    check(values, {"resolution": 0, "dead_dimensions": 8})
    shapes = {
        "effective_rank",
        "spectral_entropy_rank",
        "nesum",
        "participation_ratio",
        "numerical_rank",
        "cev_auc",
        "nc1",
    }
    shapes |= {
        "rank_above_hundredth",
        "alpha_req",
        "alpha_req_fit",
        "redundancy",
        "live_directions",
        "tail_share",
        "cdnv",
    }
    shapes |= {
        "spectral_drop",
        "self_cluster",
        "two_nn",
        "lid_mle",
        "ldreg",
        "log_trace",
        "resolved_directions",
        "clusters",
    }
    check(values, dict.fromkeys(shapes))


@pytest.mark.parametrize("rank", [1, 3, 11])
def test_equal_directions_count_themselves(rank: int) -> None:
    values = of(families.equal_directions(rank, 12))
    check(values, dict.fromkeys(RANKS, rank), rel=1e-4)
    check(values, {"log_trace": log(rank), "mean_squared_norm": rank, "tail_share": 0, "spectral_drop": 0}, rel=1e-6)


def test_a_known_spectrum_gives_each_rank_its_own_closed_form() -> None:
    values = of(families.with_spectrum(np.array([8.0, 4.0, 2.0, 1.0])))
    check(
        values,
        {"effective_rank": exp(entropy(np.sqrt([8, 4, 2, 1]))), "spectral_entropy_rank": exp(entropy([8, 4, 2, 1]))},
    )
    check(values, {"nesum": 15 / 8, "stable_rank": 15 / 8, "participation_ratio": 225 / 85, "log_trace": log(15)})


def test_an_offset_ruins_uncentred_ranks_and_leaves_centred_ones() -> None:
    values = of(families.equal_directions(6, 6) + 1000)
    check(values, {"nesum": 6, "effective_rank": 6, "participation_ratio": 6, "rank_above_hundredth": 6}, rel=1e-6)
    assert values["stable_rank"] == pytest.approx(1, abs=1e-5) and values["rankme"] < 1.1  # type: ignore[operator]
    assert values["self_cluster_uncentred"] > 0.999  # type: ignore[operator]


@pytest.mark.parametrize("alpha", [0.7, 1.5, 2.7])
def test_a_power_law_is_recovered_exactly(alpha: float) -> None:
    values = of(families.power_law(alpha))
    law = np.arange(1, 61) ** -alpha
    check(values, {"alpha_req": alpha, "alpha_req_fit": 1, "spectral_drop": 0, "live_directions": 60}, rel=1e-6)
    check(values, {"participation_ratio": law.sum() ** 2 / (law**2).sum(), "nesum": law.sum()}, rel=1e-9)
    steepest = exp(entropy(np.arange(1, 61) ** -1.5))
    check(values, {"rank_to_power_law": exp(entropy(np.sqrt(law))) / steepest}, rel=1e-6)
    check(values, {"rank_above_hundredth": (law > 1e-4).sum()})


def test_a_healthy_power_law_has_a_participation_ratio_under_six_whatever_d() -> None:
    for d in (200, 390):
        values = of(families.power_law(1.5, d=d))
        assert 5 < values["participation_ratio"] < zeta(1.5) ** 2 / zeta(3)  # type: ignore[operator]


def test_a_drop_is_found_where_it_is() -> None:
    values = of(families.with_spectrum(np.r_[np.ones(10), np.full(10, 1e-6)]))
    check(values, {"live_directions": 10, "spectral_drop": log(1e6) - 3 * log(11 / 10)}, rel=1e-6)
    check(values, {"tail_share": 1e-5 / (10 + 1e-5), "resolved_directions": 20, "rank_above_hundredth": 10}, rel=1e-6)


@pytest.mark.parametrize("d", [2, 5, 16])
def test_isotropic_features_of_length_one(d: int) -> None:
    values = of(families.cross(d))
    check(
        values, {"effective_rank": d, "participation_ratio": d, "normalised_std": d**-0.5, "inverse_sqrt_dim": d**-0.5}
    )
    check(values, {"cev_auc": (d + 1) / (2 * d), "redundancy": 0, "mean_share": 0, "mean_squared_norm": 1})
    pairs = comb(2 * d, 2)
    check(values, {"uniformity": log((d * exp(-8) + (pairs - d) * exp(-4)) / pairs)})
    # Of 2d directions each has one parallel: Q = 4d.
    check(values, {"self_cluster": -1 / (2 * d - 1), "self_cluster_uncentred": -1 / (2 * d - 1)})
    check(values, {"two_nn": None, "direction_spread": None})  # all neighbours equally far; no middle direction
    if d > 2:
        check(values, {"alpha_req": 0, "alpha_req_fit": None})


def test_vectors_along_one_ray_differ_in_length_only() -> None:
    values = of(np.outer(np.linspace(1, 2, 60), np.ones(4)))
    check(
        values,
        {"effective_rank": 1, "cev_auc": None, "normalised_std": 0, "uniformity": 0, "self_cluster": 1},
        abs=1e-6,
    )
    check(values, {"redundancy": 1, "direction_spread": 0})


def test_the_two_antipodes_are_the_lower_end_of_uniformity() -> None:
    check(of(np.array([[2.0, 0], [-3.0, 0]])), {"uniformity": -8})


def test_columns_that_repeat_each_other() -> None:
    one, other = np.array([1.0, 1, -1, -1]), np.array([1.0, -1, 1, -1])
    columns = np.stack([one, 3 * one + 5, other, np.full(4, 9.0)], axis=1)
    # Of three live columns one pair is parallel, two are orthogonal.
    check(of(columns), {"redundancy": 1 / 3, "dead_dimensions": 1})


def test_a_spread_in_units_in_the_last_place() -> None:
    sign = np.tile([1.0, -1.0], 32)[:, None] * np.ones(4)
    for ulps in (2, 8):
        sample = (1 + sign * ulps * 2.0**-23).astype(np.float32)
        values = of(sample)
        check(values, {"resolution": ulps, "nesum": 1 if ulps >= 4 else None}, rel=1e-5)


def test_images_at_a_few_points_are_clusters_and_classes() -> None:
    sample, labels = families.corners(5, 20)
    values = of(sample, labels=labels)
    check(values, {"nc1": 0, "cdnv": 0, "clusters": 5, "cluster_within": 0, "cluster_purity": 1})
    check(values, {"effective_rank": 4, "nesum": 4, "two_nn": None, "lid_mle": None}, rel=1e-6)
    # Centred corners of a simplex have cosine -1/4: Q = 100 (20 + 80 / 16).
    check(values, {"self_cluster": (100 * 25 - 100 - 1980) / (9900 - 1980)})


@pytest.mark.parametrize(("apart", "width"), [(1.0, 0.5), (3.0, 0.1), (0.2, 1.0)])
def test_two_classes_overlap_as_their_widths_say(apart: float, width: float) -> None:
    sample, labels = families.two_classes(apart, width)
    check(of(sample, labels=labels), {"nc1": width**2 / apart**2 / 2, "cdnv": width**2 / (4 * apart**2)})


def test_classes_that_coincide_or_stand_alone_are_undefined() -> None:
    sample, labels = families.two_classes(0.0, 1.0)
    check(of(sample, labels=labels), {"nc1": None, "cdnv": None})
    check(of(sample, labels=np.zeros(40, dtype=int)), {"nc1": None, "cdnv": None})
    check(of(sample, labels=np.arange(40)), {"nc1": None, "cdnv": None})


def test_neighbours_on_a_line() -> None:
    check(of(families.triplets(8)), {"two_nn": 3 / log(3 * 2 * 1.5)})
    check(of(np.repeat(families.triplets(8), 5, axis=0)), {"two_nn": 3 / log(9)})  # copies count once
    check(of(families.triplets(3)), {"two_nn": None})  # nine points are too few


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_intrinsic_dimension_of_a_flat_cloud(dimension: int) -> None:
    values = of(families.flat_patch(dimension, 8))
    for name in ("two_nn", "lid_mle"):
        assert values[name] == pytest.approx(dimension, rel=0.1), name
    # The geometric mean of the same estimates: never below their harmonic mean, about 1 / 2k above it.
    assert 1 < values["ldreg"] / values["lid_mle"] < 1.1  # type: ignore[operator]


def test_a_thread_through_all_directions_is_flat_only_locally() -> None:
    values = of(families.thread(16))
    check(values, {"effective_rank": 16, "two_nn": 1, "lid_mle": 1}, rel=0.15)


def test_clusters_shrunk_to_rounding_have_no_local_dimension() -> None:
    sample, _ = families.corners(5, 40)
    noise = 1e-8 * np.random.default_rng(0).standard_normal(sample.shape)
    check(of((sample + 3 + noise).astype(np.float32)), {"two_nn": None, "lid_mle": None, "ldreg": None})


@pytest.mark.parametrize(("signal", "noise"), [(2.0, 1.0), (1.0, 3.0)])
def test_views_whose_scatters_are_multiples_of_the_identity(signal: float, noise: float) -> None:
    d = 4
    values = of(views=families.crossed_views(signal, noise, d))
    ratio = (signal**2 / d) / (noise**2 / d + 1e-4)
    check(values, {"lidar_trace": d * ratio})
    check(values, {"lidar": d}, rel=1e-5)
    q = m = 2 * d
    between, within = signal**2 * m / (m - 1), noise**2 * q / (q - 1)
    check(values, {"variance_ratio": (between - within / q) / within})


@pytest.mark.parametrize("angle", [0.0, 30.0, 180.0])
def test_alignment_is_the_chord_between_views(angle: float) -> None:
    check(of(views=families.turned_views(radians(angle), 12)), {"alignment": 2 - 2 * cos(radians(angle))})


@pytest.mark.parametrize("strong", [0, 3, 8])
def test_only_directions_with_more_image_than_noise_count(strong: int) -> None:
    deviations = np.r_[np.full(strong, 2.0), np.full(12 - strong, 0.3)]
    values = of(views=families.noisy_views(deviations, images=1000, views=4))
    check(values, {"signal_directions": strong})
    assert values["variance_ratio"] == pytest.approx((deviations**2).mean(), rel=0.1)


def test_pure_view_noise_has_full_lidar_and_no_signal() -> None:
    values = of(views=families.noisy_views(np.zeros(12), images=1500, views=4))
    check(values, {"signal_directions": 0, "lidar": 12, "lidar_trace": 12 / 3}, rel=0.03)
    check(values, {"variance_ratio": 0}, abs=0.02)


def test_views_that_never_differ_are_all_signal() -> None:
    images = families.with_spectrum(np.r_[np.ones(3), np.zeros(5)], n=50)
    values = of(images, views=np.repeat(images[:, None], 3, axis=1))
    check(values, {"signal_directions": 3, "alignment": 0, "variance_ratio": None, "lidar_trace": 3 / 1e-4}, rel=1e-6)


def test_views_of_a_constant_say_nothing() -> None:
    views = 0.1 + np.zeros((30, 4, 6))
    check(of(views=views), {"lidar": None, "lidar_trace": None, "signal_directions": None, "variance_ratio": None})
    check(of(views=views), {"alignment": 0})


@pytest.mark.parametrize(("image", "position", "interaction"), [(1, 2, 3), (0, 1, 0), (1, 0, 0), (2, 0.5, 0)])
def test_token_variance_is_shared_out(image: float, position: float, interaction: float) -> None:
    values = of(raw_tokens=families.additive_tokens(image, position, interaction))
    total = image**2 + position**2 + interaction**2
    check(values, {"token_image_share": image**2 / total, "token_position_share": position**2 / total})
    check(values, {"token_interaction_share": interaction**2 / total})
    check(values, {"token_within_share": (position**2 + interaction**2) / total})


def test_tokens_that_are_all_equal_have_no_shares() -> None:
    values = of(raw_tokens=families.additive_tokens(0, 0, 0))
    check(values, dict.fromkeys([f"token_{name}_share" for name in ("image", "position", "interaction", "within")]))


def test_one_prototype_for_everything() -> None:
    values = of(probabilities=families.one_hot(np.zeros(10, dtype=int), 8))
    check(
        values,
        {"marginal_entropy": 0, "mean_entropy": 0, "mutual_information": 0, "used_prototypes": 1, "log_k": log(8)},
    )
    check(values, {"softmax_images": 10})


def test_decided_and_balanced_answers_say_all_there_is_to_say() -> None:
    p = families.one_hot(np.arange(80) % 8, 8)
    values = of(np.eye(80), probabilities=p, teacher=p)
    check(values, {"mutual_information": log(8), "used_prototypes": 8, "marginal_entropy": log(8), "mean_entropy": 0})
    check(values, {"kl_to_teacher": 0, "teacher_entropy": 0})


def test_a_uniform_softmax_says_nothing_and_uses_everything() -> None:
    p = families.uniform(20, 16)
    values = of(np.eye(20), probabilities=p, position_probabilities=p[:5], entropies=np.full(20, log(16)))
    check(values, {"mutual_information": 0, "position_information": 0, "used_prototypes": 16, "mean_entropy": log(16)})


def test_the_divergence_to_a_teacher() -> None:
    decided, open_ = families.one_hot(np.zeros(6, dtype=int), 4), families.uniform(6, 4)
    check(of(probabilities=open_, teacher=decided), {"kl_to_teacher": log(4), "teacher_entropy": 0})
    other = families.one_hot(np.ones(6, dtype=int), 4)
    # A student that underflowed to 0 was at least the smallest normal float32.
    check(of(probabilities=other, teacher=decided), {"kl_to_teacher": 126 * log(2)})
    check(of(probabilities=decided, teacher=open_), {"teacher_entropy": log(4)})


def test_what_a_token_says_once_its_position_is_known() -> None:
    half = np.array([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])
    check(of(position_probabilities=half, entropies=np.zeros(9)), {"position_information": log(2)})
    check(of(position_probabilities=half, entropies=np.full(9, log(2))), {"position_information": 0})


def test_the_jackknife_removes_most_of_the_bias_of_the_marginal_entropy() -> None:
    k, n = 40, 60
    plain, corrected = [], []
    for seed in range(30):
        p = families.one_hot(np.random.default_rng(seed).integers(0, k, n), k)
        values = of(np.eye(n), probabilities=p)
        plain.append(values["marginal_entropy"])
        corrected.append(values["mutual_information"])
    assert log(k) - np.mean(plain) > 0.25
    assert abs(log(k) - np.mean(corrected)) < 0.1


def test_prototypes_of_one_direction_are_merged() -> None:
    check(of(prototypes=families.fan(0, 0, 0, 90, 180)), {"distinct_prototypes": 3})
    check(of(prototypes=families.fan(0, 10, 20)), {"distinct_prototypes": 1})  # a chain: cos 10 degrees is .985
    check(of(prototypes=families.fan(0, 13, 26)), {"distinct_prototypes": 3})  # cos 13 degrees is .974
    check(of(prototypes=np.zeros((5, 3))), {"distinct_prototypes": 1})
    check(of(prototypes=np.r_[np.zeros((5, 3)), np.eye(3)]), {"distinct_prototypes": 4})
    check(of(prototypes=np.repeat(np.eye(30), 100, axis=0)), {"distinct_prototypes": 30})


def test_similarity_sees_neither_rotation_nor_scale_nor_offset() -> None:
    basis = families.with_spectrum(np.ones(4), n=50)
    one, both, other = basis[:, :1], basis[:, :2], basis[:, 2:]
    turned = 3 * both @ np.array([[0.6, -0.8], [0.8, 0.6]]) + 7
    check(of(both, start=turned, base=other), {"cka_to_start": 1, "cka_to_base": 0})
    check(of(both, start=one, base=basis), {"cka_to_start": 1 / sqrt(2), "cka_to_base": sqrt(2 / 4)})
    check(of(both, start=np.ones((50, 3)), base=both), {"cka_to_start": None, "cka_to_base": 1})


def test_size_is_on_an_absolute_scale() -> None:
    check(
        of(np.array([[3.0, 4.0], [0.0, 0.0]])), {"mean_squared_norm": 12.5, "log_trace": log(6.25), "mean_share": 0.5}
    )
    check(of(np.zeros((6, 3))), {"mean_squared_norm": 0, "rankme": None, "stable_rank": None, "uniformity": None})


def test_the_spread_of_directions_of_two_bundles_is_half_their_angle() -> None:
    one, other = families.fan(0, 40)
    z = np.repeat(np.stack([one, other]), 50, axis=0) * np.arange(1, 101)[:, None]  # lengths don't count
    check(of(z), {"direction_spread": 1 - cos(radians(20))})
