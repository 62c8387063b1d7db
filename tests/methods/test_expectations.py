"""docs/expectations.json is what methods declare, written down before the runs that check it."""

from __future__ import annotations

import importlib
import json
import pkgutil
from pathlib import Path
from typing import Any

import collapselab.methods
from collapselab.collapse.kind import KINDS
from collapselab.config.study import load_study
from collapselab.methods import METHODS
from collapselab.methods.base import Guard, Method

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "docs" / "expectations.json"
STUDY = ROOT / "studies" / "interventions.yaml"


def declared(method: type[Method]) -> list[dict[str, Any]]:
    """One row for each layer of each guard, and of each combination of guards, in the order of declaration."""
    guards = {guard.name: guard for guard in method.guards}
    cases: list[tuple[str, Any, Any, Any]] = [(one.name, one.parameter, one.off, one) for one in method.guards]
    for together in method.combinations:
        parts = [guards[name] for name in together.guards]
        names = " + ".join(together.guards)
        cases.append((names, " + ".join(part.parameter for part in parts), [part.off for part in parts], together))
    return [
        {
            "method": method.name,
            "guard": name,
            "parameter": parameter,
            "off": off,
            "layer": layer,
            "expected": expected,
            "source": case.source,
        }
        for name, parameter, off, case in cases
        for layer, expected in case.expected.items()
    ]


def test_the_committed_expectations_are_the_methods_own() -> None:
    committed = json.loads(COMMITTED.read_text())
    ours = [row for method in METHODS.values() for row in declared(method)]
    for row in ours:
        assert row in committed, f"not in docs/expectations.json: {row}"
    for row in committed:
        assert row in ours, f"in docs/expectations.json, but not declared: {row}"
    assert len(committed) == len(ours)


def test_the_study_of_interventions_switches_every_guard_off() -> None:
    study = load_study(STUDY)
    regimes = study.regimes.values()
    off = {(one.method, frozenset(guard.name for guard in METHODS[one.method].switched_off(one))) for one in regimes}
    studied = {one.method for one in regimes if not METHODS[one.method].supervised}
    for name in studied:
        for guards in [frozenset(), *(frozenset([guard.name]) for guard in METHODS[name].guards)]:
            assert (name, guards) in off, f"{name} without {', '.join(guards) or 'nothing'}"
    assert len(study.seeds) >= 2


def test_every_expected_kind_is_one_that_a_verdict_can_name() -> None:
    assert {kind for row in json.loads(COMMITTED.read_text()) for kind in row["expected"]} <= set(KINDS)


def complete(method: type[Method]) -> bool:
    """Whether a method declares guards, each with what its absence is expected to bring at some layer, and a source."""
    if method.supervised:
        return not method.guards
    cases = [*method.guards, *method.combinations]
    return bool(method.guards) and all(case.expected and case.source.strip() for case in cases)


def test_every_method_but_a_supervised_one_declares_guards_and_expectations() -> None:
    assert [name for name, method in METHODS.items() if not complete(method)] == []


def test_a_method_without_guards_or_expectations_would_fail_that_test() -> None:
    class Bare(METHODS["simclr"]):  # type: ignore[misc, name-defined]
        guards = ()

    class Unexpected(METHODS["simclr"]):  # type: ignore[misc, name-defined]
        guards = (Guard("negatives", "negatives", False, expected={}, source="none"),)

    assert not complete(Bare) and not complete(Unexpected)


def test_no_methods_file_is_left_out_of_the_list() -> None:
    for module in pkgutil.iter_modules(collapselab.methods.__path__):
        found = importlib.import_module(f"collapselab.methods.{module.name}")
        for value in vars(found).values():
            named = isinstance(value, type) and issubclass(value, Method) and "name" in vars(value)
            assert not named or METHODS.get(value.name) is value, f"list {value.__name__} in methods/__init__.py"
