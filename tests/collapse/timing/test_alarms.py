"""Alarms on curves: thresholds from healthy runs, causal, quoted no finer than the number of runs allows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from collapselab.collapse.registry import Spec
from collapselab.collapse.timing.alarms import LEAST, MARGIN, Curve, Rule, calibrate, leave_one_seed_out

RANK = Spec("rank", "a test", range="1 to d", falls="down")
DROP = Spec("drop", "a test", range="0 to infinity, natural log", falls="up")
STEPS = [0, 1, 2, 5, 10, 20]


def curve(*values: float | None) -> Curve:
    return Curve.of(STEPS[: len(values)], values)


def test_scores_are_log_ratios_to_the_first_reading_in_the_direction_of_a_collapse() -> None:
    scores = Rule("down", "ratio").scores(curve(8.0, 4.0, 16.0, None))
    assert np.isnan(scores[[0, 3]]).all()
    assert scores[1:3] == pytest.approx([math.log(2), -math.log(2)])
    assert Rule("up", "difference").scores(curve(1.0, 4.0))[1] == 3.0


def test_the_reference_is_the_median_of_the_warm_up() -> None:
    scores = Rule("down", "difference", warm_up=2).scores(curve(5.0, 7.0, 6.0, 4.0))
    assert np.isnan(scores[:3]).all() and scores[3] == 2.0


def test_ratios_for_what_is_never_negative_differences_for_logarithms_and_signs() -> None:
    assert Rule.of(RANK, [curve(5.0, 4.0)]).scale == "ratio"
    assert Rule.of(RANK, [curve(5.0, -0.1)]).scale == "difference"
    assert Rule.of(DROP, [curve(5.0, 4.0)]).scale == "difference"
    with pytest.raises(ValueError, match="no alarm"):
        Rule.of(Spec("a", "b"), [curve(1.0)])


def test_the_threshold_is_the_margin_times_the_farthest_healthy_excursion() -> None:
    rule = Rule("down", "difference")
    found = calibrate(rule, [curve(5.0, 4.0, 5.0), curve(5.0, 3.0, 6.0), curve(5.0, 9.0)])
    assert found.threshold == MARGIN * 2.0
    assert found.rate == 1 / 4
    assert calibrate(Rule("down", "ratio"), [curve(5.0, 5.0)]).threshold == LEAST
    with pytest.raises(ValueError, match="at least one"):
        calibrate(rule, [])


def test_an_alarm_is_given_at_the_first_reading_beyond_whatever_follows() -> None:
    found = calibrate(Rule("down", "difference"), [curve(5.0, 4.0)])
    assert found.alarm(curve(5.0, 4.0, 3.0, 9.0)) == 2
    assert found.alarm(curve(5.0, 4.0, 3.6)) is None


def test_persistence_waits_for_readings_in_a_row_and_skips_undefined_ones() -> None:
    found = calibrate(Rule("down", "difference", persistence=2), [curve(5.0, 1.0, 4.0, 4.5)])
    assert found.threshold == MARGIN * 1.0
    assert found.alarm(curve(5.0, 0.0, 5.0, 0.0, None, 0.0)) == 20


def test_another_healthy_run_passes_a_maximum_no_oftener_than_the_quoted_rate() -> None:
    rng = np.random.default_rng(0)
    rule, wrong = Rule("down", "ratio"), 0
    for _ in range(400):
        runs = [curve(*np.exp(0.5 * rng.standard_normal(6))) for _ in range(4)]
        wrong += calibrate(rule, runs[:3]).alarm(runs[3]) is not None
    assert wrong / 400 <= 1 / 4


def test_each_seed_is_judged_by_the_others() -> None:
    healthy = {seed: curve(50.0, 40.0 + seed, 45.0) for seed in range(4)}
    collapsed = {seed: curve(50.0, 45.0, 10.0) for seed in range(4)}
    found = leave_one_seed_out(RANK, collapsed, healthy)
    assert found is not None
    assert found.alarms == dict.fromkeys(range(4), 2)
    assert found.false_alarms == dict.fromkeys(range(4))
    # Softened by 1 % of the median, 45; seed 0 went farthest, and sets the threshold of all others.
    assert found.thresholds[1] == pytest.approx(MARGIN * math.log(50.45 / 40.45), rel=2e-3)
    assert found.thresholds[0] < found.thresholds[1]
    assert found.rate == 1 / 4 and "no false-alarm rate below 0.25" in found.words


def test_a_false_alarm_raises_the_quoted_rate() -> None:
    healthy = {0: curve(50.0, 49.0), 1: curve(50.0, 49.0), 2: curve(50.0, 10.0)}
    found = leave_one_seed_out(RANK, {}, healthy)
    assert found is not None
    assert found.false_alarms == {0: None, 1: None, 2: 1}
    assert found.rate == pytest.approx(1 / 3)


def test_one_seed_or_no_direction_gives_no_judgement() -> None:
    one = {0: curve(5.0, 4.0)}
    assert leave_one_seed_out(RANK, one, one) is None
    two = one | {1: curve(5.0, 4.0)}
    assert leave_one_seed_out(Spec("a", "b"), two, two) is None


def test_curves_need_ascending_steps() -> None:
    with pytest.raises(ValueError, match="ascending"):
        Curve.of([0, 0], [1.0, 2.0])
    with pytest.raises(ValueError, match="as many"):
        Curve.of([0, 1], [1.0])
