"""One cell's snapshots -> metrics, severities, spectra and a diagnosis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapselab.collapse.baseline import DataBaseline
from collapselab.collapse.diagnosis import Diagnosis, diagnose
from collapselab.collapse.evidence import Evidence
from collapselab.collapse.judge import grade
from collapselab.collapse.kind import Graded, Values
from collapselab.collapse.registry import Value, compute_all, load_metrics
from collapselab.collapse.signatures import read as read_signatures
from collapselab.collapse.snapshot import Snapshot, read_snapshot
from collapselab.files import read_csv
from collapselab.randomness import generator
from collapselab.runs import Run

DRAWS = 40  # bootstrap samples behind each severity's interval
Row = tuple[int, str, str, Value, int, int, str, str]  # step, layer, metric, value, n, d, view, mode
Gradient = tuple[int, str, float, float | None]  # step, weight layer, norm, signal-to-noise


@dataclass(frozen=True)
class Measured:
    """What the snapshots of one cell say.

    Attributes:
        rows: every metric at every step and layer; None where it is undefined.
        severities: layer -> kind -> severity at each step, [S]; NaN where a step could not be judged.
        spectra: layer -> covariance eigenvalues, descending, [steps, d]; `layer@tokens` over all token outputs,
            `layer@shuffled` [1, d] at the last step with each column permuted over images: no correlation left.
        gradients: of each weight layer at every step after the first, in the network's order.
        steps: of the snapshots, [S].
        diagnosis: of the last snapshot, against the first.
        factors: layer -> factor -> what became of it (`factors.judge`); empty where the data set records none.
    """

    run: Run
    rows: list[Row]
    severities: dict[str, dict[str, NDArray[np.float64]]]
    spectra: dict[str, NDArray[np.float64]]
    gradients: list[Gradient]
    steps: NDArray[np.int64]
    diagnosis: Diagnosis
    factors: dict[str, dict[str, dict[str, Any]]]


def measure(run: Run, data: DataBaseline) -> Measured:
    """Measure every snapshot of one cell against its first (random initialisation), and diagnose the last.

    `data`: what the images themselves say, with the factors that they record.
    """
    first, last = (read_snapshot(run.snapshots()[at]) for at in (0, -1))
    rows: list[Row] = []
    gradients: list[Gradient] = []
    steps: list[int] = []
    spectra: dict[str, list[NDArray[np.float64]]] = {}
    judged: list[dict[str, dict[str, float]]] = []
    start: dict[str, Values] = {}
    for path in run.snapshots():
        snapshot = read_snapshot(path).beside(first)
        values = {layer: compute_all(evidence) for layer, evidence in snapshot.layers.items()}
        start = start or {layer: Values(found) for layer, found in values.items()}
        steps.append(snapshot.step)
        judged.append({layer: _severities(Values(found), start[layer]) for layer, found in values.items()})
        for layer, evidence in snapshot.layers.items():
            rows += _rows(snapshot.step, layer, evidence, values[layer])
            gradients += _gradients(snapshot.step, evidence)
        for layer, eigenvalues in _spectra(snapshot).items():
            spectra.setdefault(layer, []).append(eigenvalues)
    stacked = {layer: np.stack(values) for layer, values in spectra.items()}
    return Measured(
        run=run,
        rows=rows,
        severities=_over_steps(judged),
        spectra=stacked | {f"{layer}@shuffled": _shuffled(evidence) for layer, evidence in last.layers.items()},
        gradients=gradients,
        steps=np.array(steps),
        diagnosis=diagnose(
            last.beside(first),
            reference=first.beside(first),
            signatures=read_signatures(_history(run)),
            guards_off=run.config["guards_off"],
            draws=DRAWS,
        ),
        factors=data.factors(run),
    )


def _history(run: Run) -> dict[str, NDArray[np.float64]]:
    """Columns of history.csv; an empty cell is NaN."""
    rows = read_csv(run.folder / "history.csv")
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0]} if rows else {}


def _severities(now: Values, start: Values) -> dict[str, float]:
    return {name: result.severity for name, result in grade(now, start).items() if isinstance(result, Graded)}


def _over_steps(judged: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, NDArray[np.float64]]]:
    return {
        layer: {
            kind: np.array([step[layer].get(kind, np.nan) for step in judged])
            for kind in dict.fromkeys(kind for step in judged for kind in step[layer])
        }
        for layer in judged[0]
    }


def _rows(step: int, layer: str, evidence: Evidence, values: Mapping[str, Value]) -> list[Row]:
    """Every metric of one layer, with the number of images and dimensions, the view and the mode that it was taken from."""
    found, d = load_metrics(), evidence.sample.shape[1]
    return [
        (step, layer, name, value, found[name].images(evidence), d, *_seen(found[name].needs))
        for name, value in values.items()
    ]


def _seen(needs: Sequence[str]) -> tuple[str, str]:
    """(view, mode): gradients are those of training steps."""
    if "gradient_norms" in needs or "gradient_snrs" in needs:
        return "augmented", "train"
    return "augmented" if "views" in needs else "clean", "eval"


def _gradients(step: int, evidence: Evidence) -> list[Gradient]:
    ratios = evidence.gradient_snrs or {}
    return [(step, layer, norm, ratios.get(layer)) for layer, norm in (evidence.gradient_norms or {}).items()]


def _spectra(snapshot: Snapshot) -> dict[str, NDArray[np.float64]]:
    found = {layer: evidence.moments.eigenvalues for layer, evidence in snapshot.layers.items()}
    tokens = {
        f"{layer}@tokens": evidence.tokens.moments.eigenvalues
        for layer, evidence in snapshot.layers.items()
        if evidence.tokens is not None and evidence.tokens.moments is not None
    }
    return found | tokens


def _shuffled(evidence: Evidence) -> NDArray[np.float64]:
    """What the spectrum would be if dimensions did not go together: their variances stay, their correlations go."""
    shuffled = generator(0, "shuffled-columns").permuted(np.asarray(evidence.sample, dtype=np.float64), axis=0)
    return Evidence(shuffled).moments.eigenvalues[None]
