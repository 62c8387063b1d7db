"""Onsets, falls of k-NN, lead times and twins, by cases whose answer is known."""

from __future__ import annotations

import math

import pytest

from collapselab.collapse.timing.onset import (
    Fall,
    Onset,
    beyond_to_the_end,
    difference,
    fall,
    lead_time,
    onset,
    onsets,
    twins,
    wilson,
)

STEPS = [0, 1, 2, 5, 10]


def test_onset_is_the_first_step_from_which_the_kind_holds_to_the_end() -> None:
    assert onset(STEPS, [0.0, 0.6, 0.4, 0.5, 1.0]) == Onset(5, 2)


def test_a_kind_that_does_not_hold_at_the_end_has_no_onset() -> None:
    assert onset(STEPS, [1.0, 1.0, 1.0, 1.0, 0.49]) is None
    assert onset(STEPS, [0.0] * 5) is None
    assert onset([], []) is None


def test_a_kind_that_held_from_the_first_snapshot_was_never_seen_absent() -> None:
    assert onset(STEPS, [0.9] * 5) == Onset(0, None)


def test_steps_that_could_not_be_judged_neither_make_nor_end_an_onset() -> None:
    assert onset(STEPS, [0.0, 0.7, math.nan, 0.7, 0.7]) == Onset(1, 0)
    assert onset(STEPS, [0.0, math.nan, math.nan, 0.7, 0.7]) == Onset(5, 0)
    assert onset(STEPS, [0.7, 0.7, 0.7, 0.7, math.nan]) is None


def test_onsets_by_layer_and_kind() -> None:
    found = onsets(STEPS, {"embedding": {"complete": [0, 0, 1, 1, 1], "norm": [0] * 5}})
    assert found == {"embedding": {"complete": Onset(2, 1), "norm": None}}


def test_a_metric_beyond_its_threshold_to_the_end() -> None:
    values = [9.0, 3.0, 9.0, None, 3.0]
    assert beyond_to_the_end(STEPS, values, 5.0, "down") == Onset(10, 2)
    assert beyond_to_the_end(STEPS, values, 2.0, "up") == Onset(0, None)
    assert beyond_to_the_end(STEPS, values, 2.0, "down") is None


def test_newcombe_interval_is_the_published_one() -> None:
    # Newcombe 1998, table II, method 10 at 95 %: 9/10 - 3/10 gives .1705 to .8090, 10/10 - 0/10 gives .6075 to 1.
    assert difference(0.9, 0.3, 10, z=1.959964) == pytest.approx((0.1705, 0.8090), abs=5e-5)
    assert difference(1.0, 0.0, 10, z=1.959964) == pytest.approx((0.6075, 1.0), abs=5e-5)


def test_wilson_interval_solves_its_own_equation() -> None:
    low, high = wilson(0.3, 212)
    for edge in (low, high):
        assert abs(0.3 - edge) == pytest.approx(1.6448536 * math.sqrt(edge * (1 - edge) / 212))
    assert wilson(0.0, 10)[0] == 0.0


def test_knn_falls_where_it_stays_below_the_twin_by_more_than_the_interval() -> None:
    own = {0: 0.15, 10: 0.16, 20: 0.12, 50: 0.13, 99: 0.1}
    twin = {0: 0.15, 10: 0.17, 20: 0.30, 50: 0.60, 100: 0.7}
    assert fall(own, twin, 212).onset == Onset(20, 10)


def test_knn_that_never_rises_has_not_fallen_and_the_words_say_so() -> None:
    found = fall({0: 0.1, 10: 0.1}, {0: 0.11, 10: 0.12}, 212)
    assert found.onset is None
    assert "never fell below" in found.words and "0.100 against 0.120 at step 10" in found.words


def test_knn_that_came_back_has_not_fallen() -> None:
    found = fall({0: 0.5, 10: 0.1, 20: 0.5}, {0: 0.5, 10: 0.5, 20: 0.5}, 212)
    assert found.onset is None and "came back" in found.words


def test_a_fall_seen_once_says_so_and_runs_without_common_steps_too() -> None:
    assert "last snapshot alone" in fall({0: 0.5, 10: 0.1}, {0: 0.5, 10: 0.5}, 212).words
    assert "no common step" in fall({0: 0.5}, {1: 0.5}, 212).words
    assert fall({}, {}, 212).words == "k-NN was not measured, for want of labels"


def test_lead_time_runs_from_the_alarm_to_the_fall() -> None:
    fallen = Fall(Onset(50, 20), "k-NN fell")
    early, late, same = (lead_time(step, fallen) for step in (5, 100, 50))
    assert (early.steps, early.at_least) == (45, 15) and "45 steps before" in early.words
    assert (late.steps, late.at_least) == (-50, -80) and "50 steps after" in late.words
    assert same.steps == 0 and "same snapshot" in same.words


def test_no_lead_without_alarm_or_without_harm() -> None:
    fallen, whole = Fall(Onset(50, 20), "k-NN fell"), Fall(None, "k-NN never fell")
    assert lead_time(None, fallen).steps is None and "no alarm, though" in lead_time(None, fallen).words
    assert lead_time(5, whole).steps is None and "need not fall" in lead_time(5, whole).words
    assert lead_time(None, whole).words == "no alarm; k-NN never fell"


def describe(off: list[str], **config: object) -> dict[str, object]:
    return {
        "guards_off": off,
        "config": {"method": "simsiam", "stop_gradient": True, "predictor": "mlp", "epochs": 12, "seeds": None}
        | config,
        "backbone": {"architecture": "resnet"},
        "augmentation": {"view": {"crop": None}},
        "steps": 100,
    }


def test_the_twin_differs_by_the_guards_parameter_alone() -> None:
    found = twins(
        {
            "other-epochs": describe([], epochs=6),
            "whole": describe([], seeds=[0, 1]),
            "no-stop": describe(["stop-gradient"], stop_gradient=False),
            "neither": describe(["stop-gradient", "predictor"], stop_gradient=False, predictor="identity"),
        }
    )
    assert set(found) == {"no-stop", "neither"}
    assert (found["no-stop"].regime, found["no-stop"].guards, found["no-stop"].keys) == (
        "whole",
        ("stop-gradient",),
        ("stop_gradient",),
    )
    # All guards on is nearer to health than all but one.
    assert (found["neither"].regime, found["neither"].still_off) == ("whole", ())


def test_a_regime_that_differs_elsewhere_is_no_twin() -> None:
    off = describe(["stop-gradient"], stop_gradient=False)
    assert twins({"a": describe([], learning_rate=1.0), "off": off}) == {}
    assert twins({"a": describe([]) | {"augmentation": {}}, "off": off}) == {}
    assert twins({"a": describe([]) | {"steps": 50}, "off": off}) == {}


def test_a_twin_may_have_other_guards_off() -> None:
    found = twins(
        {
            "one": describe(["predictor"], predictor="identity"),
            "both": describe(["stop-gradient", "predictor"], stop_gradient=False, predictor="identity"),
        }
    )
    assert found["both"].regime == "one" and found["both"].still_off == ("predictor",)
