"""The fast part of the calibration: verdicts on families of features of which it is known what holds."""

from __future__ import annotations

import numpy as np
import pytest
from bench.calibration import FALSE, FAST_PLAN, RIGHT, Trial, alarms, families, run, scores
from bench.families import load_families
from bench.networks import RULES, expected

from collapselab.collapse.diagnosis import diagnose
from collapselab.collapse.kind import KINDS


@pytest.fixture(scope="module")
def trials() -> list[Trial]:
    return run(FAST_PLAN)


def test_each_kind_is_named_where_it_holds_and_not_where_it_does_not(trials: list[Trial]) -> None:
    for kind, got in scores(trials).items():
        assert got.recall is not None and got.specificity is not None, kind
        assert got.recall >= RIGHT, f"{kind}: {[(t.family, t.n, t.d, t.seed) for t in trials if kind in t.missed]}"
        assert got.specificity >= RIGHT, f"{kind}: {[(t.family, t.n, t.d, t.seed) for t in trials if kind in t.false]}"


def test_healthy_families_give_no_alarm(trials: list[Trial]) -> None:
    false, healthy = alarms(trials)
    shown = [(t.family, t.n, t.d, t.seed, t.false) for t in trials if t.healthy and t.false]
    assert healthy > 300 and false / healthy < FALSE, shown


def test_a_trial_is_what_diagnose_says(trials: list[Trial]) -> None:
    for name in ("tight-clusters", "point", "healthy-tokens"):
        trial = next(trial for trial in trials if trial.family == name)
        drawn = load_families()[name].draw(trial.seed, trial.n, trial.d)
        verdicts = diagnose(drawn.evidence, drawn.start, draws=0).verdicts
        assert verdicts["features"] == list(trial.named)


def test_families_are_deterministic_and_say_what_holds() -> None:
    for family in load_families().values():
        assert {*family.holds, *family.open} <= set(KINDS), family.name
        assert not {*family.holds} & {*family.open}, family.name
    for family, n, d, seed in families(FAST_PLAN)[::40]:
        first, second = family.draw(seed, n, d), family.draw(seed, n, d)
        assert np.array_equal(first.evidence.sample, second.evidence.sample)
        assert first.evidence.sample.shape == (n, d) or family.sizes is not None


def test_every_kind_holds_in_some_family_and_is_spared_in_others() -> None:
    held = {kind for family in load_families().values() for kind in family.holds}
    assert held == set(KINDS), "for each kind there is a family in bench/families that has it"
    assert sum(family.healthy for family in load_families().values()) >= 14


def test_rules_name_kinds_and_nothing_holds_where_nothing_was_learnt() -> None:
    assert all({*rule.holds, *rule.open} <= set(KINDS) for rule in RULES)
    for regime in ("simclr", "simsiam-no-stop-gradient", "notebook-both", "supervised"):
        assert expected(regime, "embedding", "start-start") == ((), {})
        assert expected(regime, "embedding", "start")[0] == ()
    assert expected("notebook-both", "student.logits", "end")[0] == ("one-hot",)
    assert expected("vicreg-no-variance", "embedding", "end")[0] == ("complete",)
