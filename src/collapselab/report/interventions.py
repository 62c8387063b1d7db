"""Guards switched off one at a time: what each was declared to prevent, and what came of it beside the guard-on twin."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from collapselab.files import read_json
from collapselab.report.inputs import Results, Run
from collapselab.report.tables import NONE, Table, mean, percent

EXPLANATIONS = Path("docs/explanations.json")
SHARE = 2 / 3  # of the seeds in which a kind must be found for it to count as observed


@dataclass(frozen=True)
class Intervention:
    """One guard of one method at one layer. Accuracies are k-NN on test images, means over seeds.

    Attributes:
        guard: what is off here and on in the twin; several names where the method declares them together.
        expected: kinds that the method declares for it at this layer.
        observed: kinds found here in at least two thirds of the seeds and in no seed of the twin.
        observed_on: kinds found here in any seed of the twin, its guards on.
        onset: median over seeds of the first step from which an expected kind held to the end, or any observed one where none was.
        agreed: every expected kind is observed; where none is expected, none is observed.
        explanation: what a measurement says of a disagreement.
    """

    method: str
    guard: str
    layer: str
    expected: list[str]
    observed: list[str]
    observed_on: list[str]
    onset: float | None
    knn_on: float
    knn_off: float
    knn_init: float
    agreed: bool
    explanation: str
    regime: str
    twin: str
    seeds: int

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON: an accuracy that does not exist, for want of labels, is None."""
        values = asdict(self)
        return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values.items()}


def interventions(results: Results, explanations: Mapping[tuple[str, ...], str]) -> list[Intervention]:
    """Every regime that has a guard-on twin, at each layer for which its method declares something.

    Args:
        explanations: (study, method, guard, layer) -> what was measured about a disagreement.
    """
    return [
        _intervention(results.study, runs, results.regimes[twin], layer, expected, explanations)
        for runs in results.regimes.values()
        if (twin := str(runs[0].diagnosis["twin"])) and runs[0].config["expected"] is not None
        for layer, expected in runs[0].config["expected"].items()
    ]


def intervention_table(found: Sequence[Intervention]) -> Table | None:
    """For a person; None where the study has no pair of twins."""
    if not found:
        return None
    header = ["method", "switched off", "layer", "expected", "observed", "found with it on", "from step"]
    return Table(
        [*header, "k-NN, guard on", "guard off", "at initialisation", "agreed"],
        [
            [
                *(
                    one.method,
                    one.guard,
                    one.layer,
                    ", ".join(one.expected) or "no collapse",
                    ", ".join(one.observed) or "none",
                    ", ".join(one.observed_on) or "none",
                ),
                NONE if one.onset is None else f"{one.onset:g}",
                *(percent(value) for value in (one.knn_on, one.knn_off, one.knn_init)),
                "yes" if one.agreed else "no, explained" if one.explanation else "no",
            ]
            for one in found
        ],
        words=6,
    )


def comes_first(results: Results, found: Sequence[Intervention]) -> bool:
    """Whether the study is about its guards: most of its regimes have one off. Its table then opens the page."""
    return len({one.regime for one in found}) > len(results.regimes) / 2


def references(results: Results) -> str:
    """What the accuracies of the table are read beside, in a sentence; nothing where images have no labels."""
    if not results.labelled:
        return ""
    levels = [f"raw pixels {percent(results.pixels['knn'])}"]
    for name, runs in results.regimes.items():
        if runs[0].config["supervised"]:
            levels.append(f"{name} {percent(mean(run.score('knn', 'final') for run in runs))}")
    return f"Beside them: {', '.join(levels)}."


def explained(found: Sequence[Intervention]) -> list[tuple[str, str]]:
    """(what is off and where, explanation); layers that share an explanation share the entry."""
    layers: dict[tuple[str, str, str], list[str]] = {}
    for one in found:
        if one.explanation:
            layers.setdefault((one.method, one.guard, one.explanation), []).append(one.layer)
    return [
        (f"{method} without {guard}, {' and '.join(where)}", explanation)
        for (method, guard, explanation), where in layers.items()
    ]


def read_explanations(root: Path = Path()) -> dict[tuple[str, ...], str]:
    """docs/explanations.json: a list of {"study", "method", "guard", "layers", "explanation"}."""
    return {
        (entry["study"], entry["method"], entry["guard"], layer): str(entry["explanation"])
        for entry in read_json(root / EXPLANATIONS)
        for layer in entry["layers"]
    }


def _intervention(
    study: str,
    runs: Sequence[Run],
    twins: Sequence[Run],
    layer: str,
    expected: Sequence[str],
    explanations: Mapping[tuple[str, ...], str],
) -> Intervention:
    method = str(runs[0].config["config"]["method"])
    guard = " + ".join(name for name in runs[0].config["guards_off"] if name not in twins[0].config["guards_off"])
    held = list(dict.fromkeys(kind for run in twins for kind in run.diagnosis["verdicts"][layer]))
    found = dict.fromkeys(kind for run in runs for kind in run.diagnosis["verdicts"][layer])
    observed = [
        kind for kind in found if kind not in held and _count(runs, layer, kind) >= math.ceil(SHARE * len(runs))
    ]
    return Intervention(
        method=method,
        guard=guard,
        layer=layer,
        expected=list(expected),
        observed=observed,
        observed_on=held,
        onset=_onset(runs, layer, [kind for kind in observed if kind in expected] or observed),
        knn_on=mean(run.score("knn", "final") for run in twins),
        knn_off=mean(run.score("knn", "final") for run in runs),
        knn_init=mean(run.score("knn", "initial") for run in runs),
        agreed=set(expected) <= set(observed) if expected else not observed,
        explanation=explanations.get((study, method, guard, layer), ""),
        regime=runs[0].regime,
        twin=twins[0].regime,
        seeds=len(runs),
    )


def _count(runs: Sequence[Run], layer: str, kind: str) -> int:
    return sum(kind in run.diagnosis["verdicts"][layer] for run in runs)


def _onset(runs: Sequence[Run], layer: str, kinds: Sequence[str]) -> float | None:
    onsets = [run.diagnosis["onset"].get(layer, {}) for run in runs]
    first = [
        min(found[kind]["step"] for kind in kinds if kind in found) for found in onsets if found.keys() & set(kinds)
    ]
    return float(median(first)) if first else None
