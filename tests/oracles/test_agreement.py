"""Each registered metric against its second version on random data."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from collapselab.collapse.registry import compute_all, load_metrics
from collapselab.collapse.token_sums import TokenSums
from tests.oracles.everything import arrays, evidence
from tests.oracles.plain import ORACLES

SHAPES: list[dict[str, Any]] = [
    {"seed": 1},
    {"n": 55, "d": 3, "k": 12, "seed": 2},
    {"n": 60, "d": 70, "seed": 3},  # fewer images than dimensions
    {"n": 90, "d": 24, "k": 20, "seed": 4, "dtype": np.float32},
]


def plain(name: str, found: dict[str, Any]) -> float:
    """The second version's value."""
    return ORACLES[name](**{need: found[need] for need in inspect.signature(ORACLES[name]).parameters})


def test_every_metric_has_an_oracle_and_every_oracle_a_metric() -> None:
    assert set(ORACLES) == set(load_metrics())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_both_versions_agree(shape: dict[str, Any]) -> None:
    found = arrays(**shape)
    values = compute_all(evidence(found))
    assert set(values) == set(ORACLES)
    for name in ORACLES:
        assert values[name] == pytest.approx(plain(name, found), rel=1e-6, abs=1e-8), name


def agreed(found: dict[str, Any], *names: str) -> dict[str, float | None]:
    """The values of `names`, once both versions agree on them."""
    values = compute_all(evidence(found), names)
    for name in names:
        assert values[name] == pytest.approx(plain(name, found), rel=1e-6, abs=1e-8), name
    return values


def test_both_versions_agree_on_clusters() -> None:
    found = arrays(n=150, d=5, seed=5)
    found["sample"] = found["sample"] * 0.02 + 10 * np.eye(5)[found["labels"] % 4]
    values = agreed(
        found, "clusters", "cluster_jump", "cluster_within", "cluster_purity", "self_cluster", "nc1", "cdnv"
    )
    assert values["clusters"] == 4


def test_both_versions_agree_where_outliers_hide_a_point() -> None:
    found = arrays(n=100, d=6, seed=6)
    found["sample"][8:] *= 1e-3
    found["sample"][:8] *= 500.0
    values = agreed(found, "tight_share", "directional_drop", "directional_tail", "clusters", "median_distance")
    assert values["tight_share"] == pytest.approx(0.92)
    found["sample"][:8] = 500.0 + 0.1 * found["sample"][:8] / 500  # another place, not thrown out
    assert agreed(found, "tight_share")["tight_share"] == 0


@pytest.mark.parametrize("floor", [1e-4, 1e-2, 0.6])
def test_both_versions_agree_on_a_spectrum_that_drops(floor: float) -> None:
    found = arrays(n=150, d=40, seed=7)
    scale = np.where(np.arange(40) < 12, np.arange(1, 41) ** -0.5, floor * np.arange(1, 41) ** -0.5)
    found["sample"] = np.random.default_rng(7).standard_normal((150, 40)) * scale
    names = ("live_directions", "tail_share", "spectral_drop", "directional_drop", "directional_tail")
    values = agreed(found, *names, "rank_above_hundredth", "alpha_req", "alpha_req_fit", "resolved_directions")
    assert values["live_directions"] == (12 if floor < 0.1 else 40)


def test_token_sums_that_were_stored_give_what_the_tokens_give() -> None:
    found = arrays(seed=8)
    whole = evidence(found)
    assert whole.tokens is not None
    stored = replace(whole, tokens=TokenSums(whole.tokens.images, whole.tokens.positions, whole.tokens.square))
    names = ("token_image_share", "token_position_share", "token_interaction_share", "token_within_share")
    assert compute_all(stored, names) == compute_all(whole, names)
