"""The table of guards switched off, from results made up to the letter."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from collapselab.files import read_json
from collapselab.report.interventions import Intervention, intervention_table, interventions

ROOT = Path(__file__).parents[2]


def run(seed: int, off: list[str], expected: dict[str, list[str]] | None, found: list[str], twin: str = "") -> Any:
    scores = {("knn", "initial"): 0.2, ("knn", "final"): 0.3 if off else 0.7}
    return SimpleNamespace(
        regime="off" if off else "on",
        seed=seed,
        config={"config": {"method": "m"}, "guards_off": off, "expected": expected},
        diagnosis={
            "verdicts": {"embedding": found},
            "twin": twin,
            "onset": {"embedding": {kind: {"step": 10 * (seed + 1), "after": 5} for kind in found}},
        },
        score=lambda table, when: scores[table, when],
    )


def study(off: list[list[str]], on: list[list[str]], expected: list[str] | None) -> Any:
    declared = None if expected is None else {"embedding": expected}
    regimes = {
        "on": [run(seed, [], None, found) for seed, found in enumerate(on)],
        "off": [run(seed, ["g"], declared, found, "on") for seed, found in enumerate(off)],
    }
    return SimpleNamespace(study="s", regimes=regimes)


@pytest.mark.parametrize(
    ("off", "on", "expected", "observed", "agreed"),
    [
        ([["complete"], ["complete", "norm"]], [[], []], ["complete"], ["complete"], True),
        ([["complete"], []], [[], []], ["complete"], [], False),  # one of two seeds is no two thirds
        ([["complete"], ["complete"], []], [[], [], []], ["complete"], ["complete"], True),
        ([["complete"], ["complete"]], [[], ["complete"]], ["complete"], [], False),  # the twin shows it too
        ([[], []], [["norm"], []], [], [], True),
        ([["dimensional"], ["dimensional"]], [[], []], [], ["dimensional"], False),  # nothing was expected
        ([["complete"], ["complete"]], [[], []], ["complete", "norm"], ["complete"], False),
    ],
)
def test_observed_and_agreed(
    off: list[list[str]], on: list[list[str]], expected: list[str], observed: list[str], agreed: bool
) -> None:
    (found,) = interventions(study(off, on, expected), {})
    assert (found.observed, found.agreed) == (observed, agreed)
    assert (found.method, found.guard, found.layer, found.expected) == ("m", "g", "embedding", expected)
    assert [found.knn_on, found.knn_off, found.knn_init] == pytest.approx([0.7, 0.3, 0.2])


def test_onset_is_the_median_over_seeds_and_an_explanation_is_told() -> None:
    results = study([["complete"], ["complete"]], [[], []], ["complete"])
    (found,) = interventions(results, {("s", "m", "g", "embedding"): "because"})
    assert found.onset == 15 and found.explanation == "because"
    table = intervention_table([found])
    assert table is not None and table.rows[0][-1] == "yes" and table.rows[0][5] == "15"


def test_what_is_not_declared_or_has_no_twin_is_left_out() -> None:
    assert interventions(study([["complete"]], [[]], None), {}) == []
    assert intervention_table([]) is None


def test_the_readme_shows_the_committed_table() -> None:
    found = [Intervention(**entry) for entry in read_json(ROOT / "reports/interventions/interventions.json")]
    table = intervention_table(found)
    assert table
    readme = (ROOT / "README.md").read_text()
    for row in [table.header, *table.rows]:
        assert f"| {' | '.join(row)} |" in readme
