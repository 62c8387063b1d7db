"""What metrics promise whatever the features: what changes nothing, and between which bounds they lie."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group
from tests.oracles.everything import arrays, evidence

from collapselab.collapse.registry import compute_all, load_metrics

FEATURES = ("sample", "views", "raw_tokens")
# Rotating, scaling or shifting the features leaves these alone; what is of a softmax, of prototypes or a count always stays.
ROTATION = {"alignment", "alpha_req", "alpha_req_fit", "cdnv", "cev_auc", "cka_to_base", "cka_to_start", "cluster_jump"}
ROTATION |= {
    "cluster_purity",
    "cluster_within",
    "clusters",
    "effective_rank",
    "ldreg",
    "lid_mle",
    "lidar",
    "lidar_trace",
}
ROTATION |= {"live_directions", "log_trace", "mean_share", "mean_squared_norm", "nc1", "nesum", "numerical_rank"}
ROTATION |= {"participation_ratio", "rank_above_hundredth", "rank_to_power_law", "rankme", "resolved_directions"}
ROTATION |= {"self_cluster", "self_cluster_uncentred", "signal_directions", "spectral_drop", "spectral_entropy_rank"}
ROTATION |= {"stable_rank", "tail_share", "token_image_share", "token_interaction_share", "token_position_share"}
ROTATION |= {"token_within_share", "two_nn", "uniformity", "variance_ratio", "lid_near"}
ABSOLUTE = {
    "log_trace",
    "mean_squared_norm",
    "median_distance",
    "lidar",
    "lidar_trace",
    "resolution",
}  # lidar has its delta
ALONG_AXES = {"dead_dimensions", "direction_spread", "directional_drop", "directional_tail", "median_distance"}
ALONG_AXES |= {
    "directional_rank_to_power_law",
    "farthest_to_median",
    "median_variance_ratio",
    "normalised_std",
    "redundancy",
    "resolution",
    "tight_share",
}
SCALE = (ROTATION | ALONG_AXES) - ABSOLUTE
FROM_THE_ORIGIN = {
    "alignment",
    "cev_auc",
    "direction_spread",
    "mean_share",
    "mean_squared_norm",
    "normalised_std",
    "rankme",
}
FROM_THE_ORIGIN |= {"resolution", "self_cluster_uncentred", "stable_rank", "uniformity"}
SHIFT = (ROTATION | ALONG_AXES) - FROM_THE_ORIGIN
OF_NO_FEATURE = {
    "distinct_prototypes",
    "inverse_sqrt_dim",
    "kl_to_teacher",
    "log_k",
    "marginal_entropy",
    "mean_entropy",
}
OF_NO_FEATURE |= {"mutual_information", "position_information", "rank_ceiling", "softmax_images", "teacher_entropy"}
OF_NO_FEATURE |= {"top_prototype_share", "used_prototypes", "gradient_norm", "gradient_snr"}

Values = dict[str, float | None]
seeds = st.integers(0, 10_000)
few = settings(max_examples=12, deadline=None)


def random_arrays(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return arrays(n=int(rng.integers(55, 80)), d=int(rng.integers(2, 12)), k=int(rng.integers(4, 12)), seed=seed)


def agree(after: Values, before: Values, names: set[str], **tolerance: float) -> None:
    for name in names:
        expected = before[name]
        assert after[name] == (None if expected is None else pytest.approx(expected, **tolerance)), name


def compare(found: dict[str, Any], change: Callable[[Any], Any], same: set[str]) -> None:
    """Every metric of `same` reads what it reads without the change."""
    changed = found | {name: change(found[name]) for name in FEATURES}
    before, after = compute_all(evidence(found)), compute_all(evidence(changed))
    agree(after, before, same | OF_NO_FEATURE, rel=1e-5, abs=1e-7)


def test_the_promises_cover_every_metric() -> None:
    unsaid = set(load_metrics()) ^ (ROTATION | ALONG_AXES | OF_NO_FEATURE)
    assert not unsaid, f"{unsaid}: a metric belongs into one of ROTATION, ALONG_AXES and OF_NO_FEATURE above"


@few
@given(seeds)
def test_rotation(seed: int) -> None:
    found = random_arrays(seed)
    turn = ortho_group.rvs(found["sample"].shape[1], random_state=seed)
    compare(found, lambda x: x @ turn, ROTATION)


@few
@given(seeds, st.floats(1e-3, 1e3))
def test_scale(seed: int, factor: float) -> None:
    compare(random_arrays(seed), lambda x: factor * x, SCALE)


@few
@given(seeds, st.floats(-100, 100))
def test_shift(seed: int, offset: float) -> None:
    found = random_arrays(seed)
    constant = offset * np.random.default_rng(seed).standard_normal(found["sample"].shape[1])
    compare(found, lambda x: x + constant, SHIFT)


@few
@given(seeds)
def test_the_order_of_the_images_never_counts(seed: int) -> None:
    found = random_arrays(seed)
    rows = np.random.default_rng(seed).permutation(len(found["sample"]))
    still = ("prototypes", "position_probabilities", "gradient_norms", "gradient_snrs")
    shuffled = {name: value if name in still else value[rows] for name, value in found.items()}
    before, after = compute_all(evidence(found)), compute_all(evidence(shuffled))
    agree(after, before, set(before), rel=1e-6, abs=1e-9)


Bound = Callable[[int, int, int], tuple[float, float]]
BOUNDS: dict[str, Bound] = {
    "effective_rank spectral_entropy_rank nesum participation_ratio numerical_rank rank_above_hundredth resolved_directions "
    "live_directions": lambda n, d, k: (1, min(n - 1, d)),
    "stable_rank": lambda n, d, k: (1, min(n, d)),
    "rankme": lambda n, d, k: (1, 1.01 * min(n, d)),
    "lidar": lambda n, d, k: (1, 1.01 * d),
    "cev_auc": lambda n, d, k: ((min(n - 1, d) + 1) / (2 * min(n - 1, d)), 1),
    "signal_directions dead_dimensions": lambda n, d, k: (0, d),
    "normalised_std": lambda n, d, k: (0, d**-0.5),
    "direction_spread": lambda n, d, k: (0, 2),
    "uniformity": lambda n, d, k: (-8, 0),
    "alignment": lambda n, d, k: (0, 4),
    # Zero vectors are left out, so as few as two may be left.
    "self_cluster self_cluster_uncentred": lambda n, d, k: (-1 / (max(2, d) - 1), 1),
    "marginal_entropy mean_entropy mutual_information teacher_entropy position_information": lambda n, d, k: (
        0,
        np.log(k),
    ),
    "used_prototypes distinct_prototypes": lambda n, d, k: (1, k),
    "kl_to_teacher nc1 cdnv lidar_trace spectral_drop directional_drop two_nn lid_mle": lambda n, d, k: (0, np.inf),
    "gradient_norm gradient_snr": lambda n, d, k: (0, np.inf),
    "cluster_jump": lambda n, d, k: (1, np.inf),
    "clusters": lambda n, d, k: (1, 100),
    "variance_ratio": lambda n, d, k: (-1 / 3, np.inf),  # three views
    "tail_share directional_tail tight_share cluster_within mean_share redundancy cka_to_start cka_to_base alpha_req_fit "
    "token_image_share token_position_share token_interaction_share token_within_share": lambda n, d, k: (0, 1),
}


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from([0.5, 1.0, 4.0]), st.floats(-3, 3), st.booleans())
def test_bounds(seed: int, tail: float, offset: float, rectified: bool) -> None:
    """On light, Gaussian and heavy tails, with an offset or without, rectified or not."""
    found = random_arrays(seed)
    for name in FEATURES:
        x = np.sign(found[name]) * np.abs(found[name]) ** tail + offset
        found[name] = np.maximum(x, 0) if rectified else x
    n, d, k = *found["sample"].shape, found["probabilities"].shape[1]
    values = compute_all(evidence(found))
    for names, bound in BOUNDS.items():
        low, high = bound(n, d, k)
        for name in names.split():
            value = values[name]
            assert value is None or low - 1e-6 <= value <= high + 1e-6, (name, value, low, high)
    if values["token_image_share"] is not None:
        parts = [values[f"token_{part}_share"] for part in ("image", "position", "interaction")]
        assert sum(parts) == pytest.approx(1)  # type: ignore[arg-type]
    if values["ldreg"] is not None:
        assert values["ldreg"] >= values["lid_mle"] - 1e-9  # type: ignore[operator]


@few
@given(seeds)
def test_order_between_ranks(seed: int) -> None:
    """Renyi entropies fall with their order; singular values are flatter than their squares."""
    values = compute_all(evidence(random_arrays(seed)))
    names = ("numerical_rank", "effective_rank", "spectral_entropy_rank", "participation_ratio", "nesum")
    ranks = [values[name] or 0.0 for name in names]
    assert all(larger >= smaller - 1e-9 for larger, smaller in pairwise(ranks))
