"""docs/expectations.json is what methods declare, written down before the runs that check it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from collapselab.collapse.kind import KINDS
from collapselab.methods import METHODS
from collapselab.methods.base import Method

COMMITTED = Path(__file__).parents[2] / "docs" / "expectations.json"


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


def test_every_expected_kind_is_one_that_a_verdict_can_name() -> None:
    assert {kind for row in json.loads(COMMITTED.read_text()) for kind in row["expected"]} <= set(KINDS)


def test_every_method_but_a_supervised_one_declares_guards_and_expectations() -> None:
    for name, method in METHODS.items():
        assert bool(declared(method)) != method.supervised, name
