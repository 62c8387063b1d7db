"""The detector in time: nulls that must not alarm, planted falls that must, at the step and by the name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from collapselab.collapse.kind import KINDS
from collapselab.collapse.registry import Value, load_metrics
from collapselab.collapse.timing.detector import RULES, VOTES, WATCHED, Detector

ROOT = Path(__file__).parents[3]
HEALTHY = {
    "median_distance": 6.0,
    "direction_spread": 0.5,
    "tight_share": 0.0,
    "mean_squared_norm": 100.0,
    "spectral_drop": 0.3,
    "directional_drop": 0.3,
    "live_directions": 60.0,
    "resolved_directions": 64.0,
    "rank_to_power_law": 4.0,
    "cluster_within": 0.7,
    "cluster_jump": 2.0,
    "variance_ratio": 2.0,
}
Reading = dict[str, Value]


def watch(change: Callable[[int], Reading], steps: int = 100, noise: float = 0.05, **settings: int) -> Detector:
    """A detector that read HEALTHY with multiplicative noise, `change` applied first."""
    detector, rng = Detector(**settings), np.random.default_rng(0)  # type: ignore[arg-type]
    for step in range(steps):
        reading = HEALTHY | change(step)
        detector.update(
            step,
            {k: None if v is None else v * float(np.exp(noise * rng.standard_normal())) for k, v in reading.items()},
        )
    return detector


def named(detector: Detector) -> list[tuple[int, str]]:
    return [(alarm.step, alarm.kind) for alarm in detector.alarms]


def from_step(start: int, **values: Value) -> Callable[[int], Reading]:
    return lambda step: dict(values) if step >= start else {}


def test_every_watched_metric_exists_and_every_rule_names_a_kind() -> None:
    assert set(WATCHED) <= set(load_metrics())
    assert {rule.kind for rule in RULES} <= set(KINDS)


@pytest.mark.parametrize(
    ("kind", "fall"),
    [
        ("complete", {"median_distance": 0.01, "direction_spread": 0.001}),
        ("complete", {"tight_share": 0.6}),
        ("norm", {"mean_squared_norm": 0.1}),
        ("norm", {"mean_squared_norm": 1e7}),
        ("dimensional", {"spectral_drop": 8.0, "directional_drop": 8.0, "live_directions": 30.0}),
        ("dimensional", {"resolved_directions": 30.0}),
        ("dimensional", {"rank_to_power_law": 0.3}),
        ("cluster", {"cluster_within": 0.01, "cluster_jump": 60.0}),
        ("nuisance", {"variance_ratio": 0.0}),
    ],
)
def test_a_sudden_collapse_is_named_as_soon_as_enough_readings_agree(kind: str, fall: Reading) -> None:
    found = watch(from_step(40, **fall))
    assert named(found) == [(40 + VOTES - 1, kind)]
    assert all(metric in found.alarms[0].evidence for metric in fall)


def test_softmax_kinds_are_told_apart() -> None:
    whole = {"mean_entropy": 2.0, "marginal_entropy": 4.0, "mutual_information": 2.0, "used_prototypes": 50.0}
    ends = {
        "one-hot": {
            "mean_entropy": 0.01,
            "marginal_entropy": 0.02,
            "mutual_information": 0.01,
            "used_prototypes": 1.02,
        },
        "uniform": {
            "mean_entropy": 4.15,
            "marginal_entropy": 4.15,
            "mutual_information": 1e-6,
            "used_prototypes": 63.0,
        },
        "prototype": {"mean_entropy": 0.9, "marginal_entropy": 1.6, "mutual_information": 0.7, "used_prototypes": 5.0},
    }
    for kind, end in ends.items():
        assert named(watch(lambda step, end=end: whole | (end if step >= 30 else {}))) == [(32, kind)]  # type: ignore[misc]


def test_a_slow_collapse_cannot_hide() -> None:
    found = watch(lambda step: {m: HEALTHY[m] * 0.995**step for m in ("median_distance", "direction_spread")}, 1000)
    assert [kind for _, kind in named(found)] == ["complete"]
    assert found.alarms[0].step == pytest.approx(np.log(10) / -np.log(0.995), rel=0.1)


@pytest.mark.parametrize(
    "null",
    [
        lambda step: {},
        lambda step: {
            "direction_spread": 0.5 * 0.95**step,
            "mean_squared_norm": 100.0 + step**2 / 5,
        },  # drift of the mean
        lambda step: {"mean_squared_norm": 100.0 * 1.05**step, "median_distance": 6 * 1.025**step},  # growth
        lambda step: {"rank_to_power_law": 4.0 * 0.988**step},  # a spectrum that steepens within health
        lambda step: {"live_directions": 3.0 if step % 3 else 60.0},  # a place that jumps without any drop
        lambda step: {"median_distance": None, "direction_spread": None} if step > 30 else {},  # undefined, not fallen
        lambda step: {"tight_share": 0.9} if step in (20, 23, 50, 80) else {},  # single bad batches
    ],
)
def test_nulls_give_no_alarm(null: Callable[[int], Reading]) -> None:
    assert named(watch(null)) == []


def test_noise_as_large_as_the_limit_gives_no_alarm() -> None:
    assert named(watch(lambda step: {}, 500, noise=1.0)) == []


def test_an_alarm_is_given_once_and_again_after_recovery() -> None:
    gone = {"tight_share": 0.6}
    assert named(watch(from_step(40, **gone))) == [(42, "complete")]
    twice = watch(lambda step: gone if 40 <= step < 50 or step >= 80 else {})
    assert named(twice) == [(42, "complete"), (82, "complete")]


def test_after_a_complete_collapse_the_shape_means_nothing() -> None:
    fall = {"median_distance": 1e-4, "direction_spread": 1e-6, "rank_to_power_law": 0.3, "cluster_within": 0.01}
    assert named(watch(from_step(40, **fall))) == [(42, "complete")]


def test_limits_warm_up_and_votes_are_the_callers() -> None:
    gone = from_step(40, mean_squared_norm=0.01)
    detector = Detector(limits={"norm": 3.0})
    for step in range(100):
        detector.update(step, HEALTHY | gone(step))
    assert detector.alarms == [] and detector.pressure["norm"] == pytest.approx(2.0)
    assert named(watch(gone, warm_up=60)) == []
    assert named(watch(gone, noise=0.01, window=1, votes=1)) == [(40, "norm")]


def test_the_benchmark_writes_its_page_twice_alike(tmp_path: Path) -> None:
    pages = []
    for name in ("a.md", "b.md"):
        command = [sys.executable, "-m", "bench.detector", "--fast", "--out", str(tmp_path / name)]
        subprocess.run(command, cwd=ROOT, check=True, timeout=300)
        pages.append((tmp_path / name).read_bytes())
    assert pages[0] == pages[1]
    text = pages[0].decode()
    assert "| **all** | 12 | 0 |" in text and "24 of 24" in text
