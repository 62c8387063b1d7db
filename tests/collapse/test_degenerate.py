"""Degenerate input: every metric gives a finite number or None, never NaN, infinity or a warning; NaN in the input is refused."""

from __future__ import annotations

import warnings
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from tests.oracles.everything import arrays, evidence, softmax

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import load_metrics
from collapselab.collapse.token_sums import TokenSums
from collapselab.errors import UserError

FEATURES = ("sample", "views", "raw_tokens", "start", "base", "prototypes")
# Read shapes only.
COUNTS = {"log_k", "softmax_images", "inverse_sqrt_dim"}


def over(found: dict[str, Any], change: Any) -> dict[str, Any]:
    """With `change` applied to all features."""
    return found | {name: change(found[name]) for name in FEATURES}


def cases() -> dict[str, dict[str, Any]]:
    usual = arrays(n=40, d=6, k=5)
    single = over(usual, lambda x: x)
    single["views"] = np.repeat(usual["views"][:1], 40, axis=0)
    return {
        "two images": arrays(n=2, d=5, k=4),
        "three images": arrays(n=3, d=5, k=4),
        "fewer images than dimensions": arrays(n=6, d=40, k=8),
        "one dimension": arrays(n=40, d=1, k=4),
        "duplicates": over(arrays(n=120, d=6), lambda x: np.repeat(x[: len(x) // 4 or 1], 4, axis=0)[: len(x)]),
        "two values": over(usual, np.sign),
        "all zeros": over(usual, np.zeros_like),
        "a constant": over(usual, lambda x: np.full_like(x, 0.1)),
        "a constant in float32": over(usual, lambda x: np.full_like(x, 0.1, dtype=np.float32)),
        "constant but for one image": over(
            usual, lambda x: np.where(np.arange(len(x)).reshape(-1, *[1] * (x.ndim - 1)), 1, x)
        ),
        "float16": over(usual, lambda x: x.astype(np.float16)),
        "large float16": over(usual, lambda x: (1000 * x).astype(np.float16)),
        "denormal float16": over(usual, lambda x: (1e-7 * x).astype(np.float16)),
        "a mean of a million in float32": over(usual, lambda x: (x + 1e6).astype(np.float32)),
        "a mean of a million, spread at rounding": over(usual, lambda x: (0.05 * x + 1e6).astype(np.float32)),
        "tiny": over(usual, lambda x: 1e-30 * x),
        "huge": over(usual, lambda x: 1e12 * x),
        "integers": over(usual, lambda x: (10 * x).astype(np.int32)),
        "dead units": over(usual, lambda x: np.where(np.arange(x.shape[-1]) % 2, x, 1.5)),
        "one ray": over(usual, lambda x: np.abs(x[..., :1]) * np.ones(x.shape[-1])),
        "one image seen again and again": single,
        "views that never differ": usual | {"views": np.repeat(usual["sample"][:, None], 3, axis=1)},
        "one class": usual | {"labels": np.zeros(40, dtype=int)},
        "every image its own class": usual | {"labels": np.arange(40)},
        "class names": usual | {"labels": np.array(["cat", "dog"])[np.arange(40) % 2]},
        "one-hot": usual | {name: np.eye(5)[np.zeros(40, dtype=int)] for name in ("probabilities", "teacher")},
        "one-hot apart": usual
        | {"probabilities": np.eye(5)[np.arange(40) % 5], "teacher": np.eye(5)[np.arange(1, 41) % 5]},
        "uniform": usual | {name: np.full((40, 5), 0.2) for name in ("probabilities", "teacher")},
        "half-precision softmax": usual
        | {name: softmax(9 * usual["probabilities"]).astype(np.float16) for name in ("probabilities", "teacher")},
    }


CASES = cases()


@pytest.mark.parametrize("case", CASES)
def test_every_metric_is_defined_or_none(case: str) -> None:
    made = evidence(CASES[case])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, metric in load_metrics().items():
            value = metric.compute(made)
            assert value is None or (type(value) is float and np.isfinite(value)), (name, value)


SHAPES = (
    "effective_rank",
    "spectral_entropy_rank",
    "nesum",
    "participation_ratio",
    "numerical_rank",
    "rank_above_hundredth",
)
SHAPES += ("cev_auc", "alpha_req", "alpha_req_fit", "redundancy", "live_directions", "tail_share", "spectral_drop")
SHAPES += (
    "self_cluster",
    "two_nn",
    "lid_mle",
    "ldreg",
    "nc1",
    "cdnv",
    "cka_to_start",
    "cka_to_base",
    "lidar",
    "lidar_trace",
)
SHAPES += ("signal_directions", "clusters", "cluster_within", "cluster_jump", "cluster_purity", "tight_share")
SHAPES += ("directional_drop", "directional_tail", "resolved_directions", "rank_to_power_law", "variance_ratio")


@pytest.mark.parametrize(
    "case", ["all zeros", "a constant", "a constant in float32", "a mean of a million, spread at rounding"]
)
def test_no_shape_is_read_from_rounding(case: str) -> None:
    made = evidence(CASES[case])
    assert {name: load_metrics()[name].compute(made) for name in SHAPES} == dict.fromkeys(SHAPES)


def poisoned(name: str, value: float) -> Evidence:
    """Usual evidence with one entry of one array, or of gradients, replaced. The whole, as built, may refuse it."""
    found = arrays(n=60, d=6)
    found[name] = found[name].copy()
    if isinstance(found[name], dict):
        found[name]["body.2"] = value
    else:
        found[name].flat[7] = value
    return evidence(found)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("metric", sorted(set(load_metrics()) - COUNTS))
def test_nan_and_infinity_are_refused_by_each_metric_that_would_read_them(metric: str, value: float) -> None:
    found = load_metrics()[metric]
    reads = [{"rows": "sample", "tokens": "raw_tokens"}.get(need, need) for need in found.needs]
    if metric == "teacher_entropy":
        reads.remove("probabilities")
    for name in reads:
        if name != "labels":
            with pytest.raises(UserError, match=r"NaN|infinity"):
                found.compute(poisoned(name, value))


def test_gradients_of_no_layer_are_refused() -> None:
    with pytest.raises(UserError, match="one number for each weight layer"):
        evidence(arrays(n=30, d=4) | {"gradient_norms": {}})


def test_similarity_needs_the_same_images() -> None:
    made = evidence(arrays(n=30, d=4))
    assert made.start is not None
    with pytest.raises(UserError, match="29 vectors and the features 30"):
        load_metrics()["cka_to_start"].compute(replace(made, start=made.start[1:]))


def test_stored_token_sums_of_rounding_have_no_shares() -> None:
    tokens = TokenSums.of((1e6 + 0.01 * np.random.default_rng(0).standard_normal((20, 4, 3))).astype(np.float32))
    stored = TokenSums(tokens.images, tokens.positions, tokens.square)
    made = Evidence(sample=np.eye(3), tokens=stored)
    assert load_metrics()["token_position_share"].compute(made) is None


def test_evidence_has_what_these_tests_fill_in() -> None:
    made = evidence(arrays())
    assert all(getattr(made, field.name) is not None for field in fields(Evidence))
