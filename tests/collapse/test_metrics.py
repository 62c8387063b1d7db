"""The registry of metrics, and values that theory, papers and other libraries give."""

from __future__ import annotations

import importlib
from math import log, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mutual_info_score

from collapselab.collapse import metrics
from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import METRICS, Spec, compute_all, load_metrics, metric


def of(sample: NDArray[Any], *only: str, **more: NDArray[Any]) -> dict[str, float]:
    """Values that are defined, of all metrics or of `only` some."""
    values = compute_all(Evidence(sample=sample, **more), only or None)
    return {name: value for name, value in values.items() if value is not None}


def gaussian(n: int, d: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal((n, d))


# The registry


def test_each_file_holds_the_one_metric_that_it_is_called_after() -> None:
    files = {path.stem for path in Path(metrics.__path__[0]).glob("*.py")} - {"__init__"}
    assert set(load_metrics()) == files


@pytest.mark.parametrize("name", sorted(load_metrics()))
def test_every_metric_says_exactly_what_it_is(name: str) -> None:
    found, module = load_metrics()[name], importlib.import_module(f"{metrics.__name__}.{name}")
    assert (module.__doc__ or "").partition("\n")[0].endswith((".", ":"))
    spec = found.spec
    assert found.needs and spec.formula and spec.source and spec.centring and spec.normalisation and spec.range
    assert spec.version >= 1 and spec.epsilon >= 0
    constant = {"inverse_sqrt_dim", "log_k", "rank_ceiling", "softmax_images"}
    # What sees something says what it does not see.
    assert (name in constant) == (not spec.sees) == (not spec.blind_to)
    assert spec.falls in ("down", "up", "") and (spec.sees or not spec.falls)


def test_two_metrics_of_one_name_are_refused() -> None:
    load_metrics()

    def nesum(evidence: Evidence) -> float | None:
        return None

    with pytest.raises(ValueError, match="two metrics are called nesum"):
        metric("sample", spec=Spec("", ""))(nesum)
    assert METRICS["nesum"].spec.formula


def test_metrics_whose_needs_are_not_met_are_left_out() -> None:
    assert "nc1" not in compute_all(Evidence(sample=gaussian(10, 3)))
    assert set(compute_all(Evidence(sample=gaussian(10, 3)), ["nesum", "nc1"])) == {"nesum"}


# Other libraries


def test_spectra_are_those_of_scikit_learn() -> None:
    z = gaussian(300, 20) * np.arange(1, 21) ** -0.8 + 3
    values, pca = of(z), PCA().fit(z)
    share = pca.explained_variance_ratio_
    assert values["nesum"] == pytest.approx(1 / share[0])
    assert values["participation_ratio"] == pytest.approx(1 / (share**2).sum())
    assert values["log_trace"] == pytest.approx(log(pca.explained_variance_.sum() * 299 / 300))
    rank = np.arange(1, 21)
    line = LinearRegression().fit(np.log(rank)[:, None], np.log(share), sample_weight=1 / rank)
    assert values["alpha_req"] == pytest.approx(-line.coef_[0])
    assert values["alpha_req_fit"] == pytest.approx(line.score(np.log(rank)[:, None], np.log(share), 1 / rank))


def test_lidar_is_the_rank_of_scikit_learns_discriminants() -> None:
    images, q, d = 80, 6, 5
    views = gaussian(images, d)[:, None] * [3, 2, 1, 0.5, 0.2] + np.random.default_rng(1).standard_normal(
        (images, q, d)
    )
    fit = LinearDiscriminantAnalysis(solver="eigen").fit(views.reshape(-1, d), np.repeat(np.arange(images), q))
    p = fit.explained_variance_ratio_[:d]
    assert of(views[:, 0], views=views)["lidar"] == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-3)  # delta


def test_uniformity_and_alignment_are_the_losses_of_the_paper_in_torch() -> None:
    z = gaussian(100, 8) + 0.5
    views = z[:, None] + 0.3 * gaussian(200, 8, 1).reshape(100, 2, 8)
    values = of(z, views=views)
    unit = torch.nn.functional.normalize(torch.from_numpy(z))
    assert values["uniformity"] == pytest.approx(float(torch.pdist(unit).square().mul(-2).exp().mean().log()))
    one, other = (torch.nn.functional.normalize(torch.from_numpy(views[:, i])) for i in (0, 1))
    assert values["alignment"] == pytest.approx(float((one - other).norm(dim=1).square().mean()))


def test_the_divergence_is_that_of_torch() -> None:
    student, teacher = (torch.from_numpy(2 * gaussian(50, 12, seed)).log_softmax(1) for seed in (0, 1))
    values = of(gaussian(50, 3), probabilities=student.exp().numpy(), teacher=teacher.exp().numpy())
    expected = torch.nn.functional.kl_div(student, teacher, log_target=True, reduction="batchmean")
    assert values["kl_to_teacher"] == pytest.approx(float(expected))
    cross_entropy = -(teacher.exp() * student).sum(1).mean()
    assert values["kl_to_teacher"] + values["teacher_entropy"] == pytest.approx(float(cross_entropy))


def test_mutual_information_of_decided_answers_is_scikit_learns_up_to_its_correction() -> None:
    """4,000 images, each of its own class: the plug-in value that scikit-learn gives is low by about (K - 1) / 2N."""
    winners = np.random.default_rng(0).choice(12, 4000, p=np.arange(1, 13) / 78)
    values = of(gaussian(4000, 2), "mutual_information", probabilities=np.eye(12)[winners])
    plain = mutual_info_score(np.arange(4000), winners)
    assert values["mutual_information"] - plain == pytest.approx(11 / 8000, rel=0.05)


def test_numerical_rank_is_numpys_on_float32() -> None:
    z = (gaussian(200, 6) @ gaussian(6, 15, 1)).astype(np.float32)
    assert of(z)["numerical_rank"] == np.linalg.matrix_rank(z - z.mean(0)) == 6


# Theory


def test_isotropic_features_read_what_theory_says() -> None:
    names = ("normalised_std", "mean_share", "self_cluster", "redundancy", "uniformity")
    values = of(gaussian(20_000, 32), *names)
    assert values["normalised_std"] == pytest.approx(32**-0.5, rel=0.02)
    assert values["mean_share"] == pytest.approx(0, abs=3e-3)
    assert values["self_cluster"] == pytest.approx(0, abs=1e-3)
    assert values["redundancy"] == pytest.approx(1 / 19_999, rel=0.2)
    assert values["uniformity"] == pytest.approx(-4 + 8 / 32, abs=0.02)  # E exp(4 cos), var cos = 1 / d
    assert of(gaussian(20_000, 9), "median_distance")["median_distance"] == pytest.approx(
        sqrt(8.3428), rel=0.01
    )  # chi, 9 degrees of freedom


def test_what_a_loss_of_cosines_keeps_apart_is_read_from_unit_vectors() -> None:
    lengths = np.exp(gaussian(300, 1, seed=2))
    views = lengths[:, :, None] * gaussian(300 * 4, 16).reshape(300, 4, 16)
    unit = views / np.linalg.norm(views, axis=-1, keepdims=True)
    names = ("median_distance", "median_variance_ratio", "direction_spread")
    found = compute_all(Evidence(views[:, 0], views=views, directional=True), names)
    assert found == pytest.approx(compute_all(Evidence(unit[:, 0], views=unit), names))


def test_a_large_mean_fools_the_published_self_cluster_and_not_the_centred_one() -> None:
    values = of(gaussian(1000, 64) + 30 / 8, "self_cluster", "self_cluster_uncentred")  # an offset of length 30
    assert values["self_cluster_uncentred"] == pytest.approx((900 / 964) ** 2, abs=0.01)
    assert values["self_cluster"] == pytest.approx(0, abs=1e-3)


def test_rankme_of_isotropic_features_passes_d_by_its_epsilon() -> None:
    z = np.linalg.qr(gaussian(600, 256))[0]
    # q = 1 / d + epsilon: d (1 / d + e) ln of its inverse is ln d + d e (ln d - 1).
    assert of(z, "rankme")["rankme"] == pytest.approx(256 * np.exp(256e-7 * (log(256) - 1)), rel=1e-6)


@pytest.mark.parametrize("signal", [0.0, 0.5, 3.0])
def test_variance_ratio_recovers_signal_over_noise_without_bias(signal: float) -> None:
    views = gaussian(4000, 16)[:, None] * sqrt(signal) + np.random.default_rng(1).standard_normal((4000, 4, 16))
    assert of(views.mean(1), "variance_ratio", views=views)["variance_ratio"] == pytest.approx(signal, abs=0.03)


def test_medians_are_blind_to_a_few_images_thrown_far_out() -> None:
    rng = np.random.default_rng(0)
    views = 0.01 * rng.standard_normal((200, 1, 16)) + 0.1 * rng.standard_normal((200, 4, 16))
    views[:6] += 1000 * rng.standard_normal((6, 1, 16))
    values = of(views[:, 0], views=views)
    assert values["variance_ratio"] > 1e3
    assert values["median_variance_ratio"] == pytest.approx(
        0.25, abs=0.06
    )  # q views leave 1 / q of the noise in their mean
    assert values["median_distance"] < 1


def test_noise_alone_shows_no_signal_however_few_the_images() -> None:
    for images, views, seed in ((40, 4, 0), (60, 2, 1), (30, 8, 2)):
        noise = np.random.default_rng(seed).standard_normal((images, views, 20))
        assert of(noise[:, 0], views=noise)["signal_directions"] == 0


def test_rounding_noise_is_not_read_as_a_healthy_spectrum() -> None:
    assert "effective_rank" not in of((1000 + 1e-5 * gaussian(200, 16)).astype(np.float32))


def test_ranks_stand_under_their_ceiling_when_images_are_few() -> None:
    ranks = ("rank_ceiling", "numerical_rank", "live_directions", "effective_rank")
    values = of(gaussian(6, 500), *ranks)
    assert values["rank_ceiling"] == values["numerical_rank"] == values["live_directions"] == 5
    assert values["effective_rank"] <= 5 + 1e-9


def test_gradients_of_all_layers_are_one_long_vector_and_their_ratio_is_that_of_the_middle_layer() -> None:
    norms, ratios = {"stem": 3.0, "head": 4.0}, {"a": 0.1, "b": 7.0, "c": 0.5}
    values = compute_all(Evidence(sample=gaussian(9, 2), gradient_norms=norms, gradient_snrs=ratios))
    assert values["gradient_norm"] == pytest.approx(5) and values["gradient_snr"] == 0.5
    assert load_metrics()["gradient_norm"].images(Evidence(sample=gaussian(9, 2), gradient_norms=norms)) == 2


def test_pairwise_measures_look_at_a_seeded_choice_of_images() -> None:
    z = gaussian(2500, 3)
    names = ("uniformity", "two_nn", "self_cluster_uncentred")
    assert of(z, *names) == pytest.approx(of(z[Evidence(sample=z).chosen], *names))
