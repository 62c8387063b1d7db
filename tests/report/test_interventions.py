"""The table of guards switched off, from results made up to the letter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from collapselab.files import read_json, write_json
from collapselab.report.interventions import (
    Intervention,
    comes_first,
    explained,
    intervention_table,
    interventions,
    read_explanations,
    references,
)

ROOT = Path(__file__).parents[2]
ONSETS = {"complete": 10, "dimensional": 5, "norm": 20}


def run(seed: int, off: list[str], expected: dict[str, list[str]] | None, found: list[str], twin: str = "") -> Any:
    scores = {("knn", "initial"): 0.2, ("knn", "final"): 0.3 if off else 0.7}
    return SimpleNamespace(
        regime="off" if off else "on",
        seed=seed,
        config={"config": {"method": "m"}, "guards_off": off, "expected": expected},
        diagnosis={
            "verdicts": {"embedding": found},
            "twin": twin,
            "onset": {"embedding": {kind: {"step": ONSETS[kind] * (seed + 1), "after": 5} for kind in found}},
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
    assert table is not None and table.rows[0][-1] == "yes" and table.rows[0][6] == "15"


def test_onset_is_that_of_the_expected_kind_and_the_twins_own_kinds_are_told() -> None:
    (found,) = interventions(study([["dimensional", "complete"]] * 2, [["norm"], []], ["complete"]), {})
    assert (found.observed, found.onset) == (["dimensional", "complete"], 15)
    assert found.observed_on == ["norm"]
    (other,) = interventions(study([["dimensional"]] * 2, [[], []], ["complete"]), {})
    assert (other.agreed, other.onset) == (False, 7.5)


def test_layers_that_share_an_explanation_share_its_entry(tmp_path: Path) -> None:
    entry = {"study": "s", "method": "m", "guard": "g", "layers": ["embedding", "logits"], "explanation": "because"}
    write_json(tmp_path / "docs" / "explanations.json", [entry])
    read = read_explanations(tmp_path)
    assert read == {("s", "m", "g", layer): "because" for layer in ("embedding", "logits")}
    (one,) = interventions(study([[], []], [[], []], ["complete"]), read)
    assert explained([one, replace(one, layer="logits"), replace(one, explanation="")]) == [
        ("m without g, embedding and logits", "because")
    ]


def test_the_table_opens_the_page_where_most_regimes_have_a_guard_off() -> None:
    results = study([[], []], [[], []], [])
    found = interventions(results, {})
    assert not comes_first(results, found)  # one of two
    assert comes_first(results, [*found, replace(found[0], regime="another")])


def test_references_are_pixels_and_what_labels_taught() -> None:
    results = study([[], []], [[], []], [])
    results.labelled, results.pixels = True, {"knn": 0.5}
    results.regimes["off"][0].config["supervised"] = False
    results.regimes["on"][0].config["supervised"] = True
    assert references(results) == "Beside them: raw pixels 50.0 %, on 70.0 %."
    results.labelled = False
    assert references(results) == ""


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
