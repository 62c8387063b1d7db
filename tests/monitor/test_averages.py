"""Averages of within-batch moments against plain NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from collapselab.collapse.registry import compute_all
from collapselab.monitor import CollapseMonitor
from collapselab.monitor.averages import METRICS


def batches(count: int, n: int = 48, d: int = 12, drift: float = 0.0) -> list[torch.Tensor]:
    """Batches whose mean drifts from step to step, and whose spectrum falls off."""
    draw = torch.Generator().manual_seed(0)
    spread = torch.arange(1, d + 1) ** -0.75
    away = drift * torch.randn(count, 1, d, generator=draw)
    return list(0.5 + away + torch.randn(count, n, d, generator=draw) * spread)


def watched(given: list[torch.Tensor], window: int) -> dict[str, float]:
    monitor = CollapseMonitor(window=window)
    for batch in given:
        monitor.update(batch)
    return monitor.compute()


def average_covariance(given: list[torch.Tensor], window: int) -> np.ndarray:
    """Written plainly: each batch's own biased covariance, the k-th from the end weighing (1 - 1 / window)^k."""
    weights = [(1 - 1 / window) ** (len(given) - 1 - k) for k in range(len(given))]
    covariances = [np.cov(batch.double().numpy(), rowvar=False, bias=True) for batch in given]
    return sum(w * c for w, c in zip(weights, covariances, strict=True)) / sum(weights)


def entropy_rank(weights: np.ndarray) -> float:
    p = weights / weights.sum()
    return math.exp(-(p * np.log(p)).sum())


@pytest.mark.parametrize("window", [1, 5])
def test_moments_are_the_average_of_each_batch_centred_by_itself(window: int) -> None:
    given = batches(12, drift=3.0)
    found, covariance = watched(given, window), average_covariance(given, window)
    eigenvalues = np.linalg.eigvalsh(covariance)
    assert found["log_trace"] == pytest.approx(math.log(np.trace(covariance)), abs=1e-5)
    assert found["spectral_entropy_rank"] == pytest.approx(entropy_rank(eigenvalues), rel=1e-5)
    assert found["effective_rank"] == pytest.approx(entropy_rank(np.sqrt(eigenvalues)), rel=1e-5)


def test_pooling_features_over_steps_would_inflate_the_rank() -> None:
    # Each batch lies in the same two directions, around a mean that wanders through all of 32.
    draw = torch.Generator().manual_seed(1)
    basis = torch.linalg.qr(torch.randn(32, 2, generator=draw))[0]
    pooled, monitor = [], CollapseMonitor()
    for _ in range(40):
        pooled.append(torch.randn(64, 2, generator=draw) @ basis.T + torch.randn(32, generator=draw))
        monitor.update(pooled[-1])
    mixed = np.cov(torch.cat(pooled).double().numpy(), rowvar=False)
    assert monitor.compute()["spectral_entropy_rank"] <= 2.0001
    assert entropy_rank(np.linalg.eigvalsh(mixed)) > 10


def test_one_batch_gives_what_the_registry_gives_of_its_features() -> None:
    from collapselab.collapse.evidence import Evidence

    (given,) = batches(1, n=64, d=16)
    found = watched([given], window=1)
    for name, value in compute_all(Evidence(given.numpy()), METRICS).items():
        assert found[name] == pytest.approx(value, rel=1e-4), name


def test_the_length_of_the_mean_survives_its_drift() -> None:
    # Means of opposite sign cancel in their average; each batch's own offset is a ninth of its variance of one.
    d, draw = 16, torch.Generator().manual_seed(2)
    offset = torch.full((d,), 3.0)
    given = [sign * offset + torch.randn(4096, d, generator=draw) for sign in (1, -1, 1, -1)]
    assert watched(given, window=1000)["mean_share"] == pytest.approx(0.9, abs=0.005)


def test_a_small_batch_cannot_reach_the_dimension_and_its_window_can() -> None:
    given = batches(40, n=9, d=64)
    assert watched(given, window=1)["rank_ceiling"] == 8
    assert watched(given, window=20)["rank_ceiling"] == 64
    assert watched(given, window=1)["effective_rank"] <= 8


def test_a_batch_counts_by_its_images() -> None:
    large, small = batches(2, n=90)[0], batches(2, n=90)[1][:10]
    monitor = CollapseMonitor(window=10**9)
    monitor.update(large)
    monitor.update(small)
    traces = [float(batch.var(0, unbiased=False).sum()) for batch in (large, small)]
    assert monitor.compute()["log_trace"] == pytest.approx(math.log(0.9 * traces[0] + 0.1 * traces[1]), abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_types_are_read_at_their_own_precision(dtype: torch.dtype) -> None:
    given = [batch.to(dtype) for batch in batches(3)]
    found = watched(given, window=2)
    expected = watched([batch.float() for batch in given], window=2)
    assert found["effective_rank"] == pytest.approx(expected["effective_rank"], rel=1e-6)
    # The spread is counted in units in the last place of the type that was given.
    coarser = max(torch.finfo(dtype).eps, torch.finfo(torch.float32).eps) / torch.finfo(torch.float32).eps
    assert found["resolution"] == pytest.approx(expected["resolution"] / coarser, rel=1e-6)


def test_sixteen_bits_do_not_overflow_in_the_products() -> None:
    given = [(200 * batch).half() for batch in batches(3)]
    assert math.isfinite(watched(given, window=2)["log_trace"])


def test_directions_below_float32_products_are_not_called_alive() -> None:
    d, draw = 64, torch.Generator().manual_seed(3)
    basis = torch.linalg.qr(torch.randn(d, 10, generator=draw))[0]
    given = [torch.randn(512, 10, generator=draw) @ basis.T for _ in range(30)]
    found = watched(given, window=20)
    assert found["resolved_directions"] == 10


def test_identical_vectors_give_undefined_ranks_and_no_error() -> None:
    found = watched([torch.full((32, 8), 0.1)] * 3, window=5)
    assert math.isnan(found["effective_rank"]) and math.isnan(found["log_trace"])
    assert found["normalised_std"] == 0 and found["mean_share"] == 1


def test_autocast_and_inference_mode_change_nothing() -> None:
    given = batches(4)
    monitor = CollapseMonitor(window=3)
    for batch in given[:2]:
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            monitor.update(batch)
    for batch in given[2:]:
        monitor.update(batch)
    assert monitor.compute() == watched(given, window=3)
