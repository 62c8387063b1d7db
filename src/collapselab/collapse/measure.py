"""One cell's snapshots -> metrics, spectra and a diagnosis; the files that hold them for a study."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapselab.collapse.diagnosis import Diagnosis, diagnose
from collapselab.collapse.registry import Evidence, compute_all, load_metrics
from collapselab.collapse.snapshot import Snapshot, read_snapshot
from collapselab.files import save_arrays, write_csv, write_json
from collapselab.runs import Run

Row = tuple[int, str, str, float | None, int, int, str, str]  # step, layer, metric, value, n, d, view, mode


@dataclass(frozen=True)
class Measured:
    """What the snapshots of one cell say.

    Attributes:
        rows: every metric at every step and layer; None where it is undefined.
        spectra: layer -> covariance eigenvalues, descending, [steps, d]; `layer@tokens` over all token outputs.
        steps: of the snapshots, [S].
    """

    run: Run
    rows: list[Row]
    spectra: dict[str, NDArray[np.float64]]
    steps: NDArray[np.int64]
    diagnosis: Diagnosis


def measure(run: Run) -> Measured:
    """Measure every snapshot of one cell, and diagnose the last against the first (random initialisation)."""
    rows: list[Row] = []
    spectra: dict[str, list[NDArray[np.float64]]] = {}
    snapshots = [read_snapshot(path) for path in run.snapshots()]
    for snapshot in snapshots:
        for layer, evidence in snapshot.layers.items():
            rows += _rows(snapshot.step, layer, evidence)
        for layer, eigenvalues in _spectra(snapshot).items():
            spectra.setdefault(layer, []).append(eigenvalues)
    return Measured(
        run=run,
        rows=rows,
        spectra={layer: np.stack(values) for layer, values in spectra.items()},
        steps=np.array([snapshot.step for snapshot in snapshots]),
        diagnosis=diagnose(snapshots[-1], reference=snapshots[0]),
    )


def write(folder: Path, regimes: dict[str, list[Measured]]) -> None:
    """metrics.csv, specs.json, spectra.safetensors and diagnosis.json of a study."""
    cells = [cell for measured in regimes.values() for cell in measured]
    header = ("regime", "seed", "step", "layer", "metric", "value", "n", "d", "view", "mode")
    rows = (
        (cell.run.regime, cell.run.seed, *row[:3], "" if row[3] is None else f"{row[3]:.9g}", *row[4:])
        for cell in cells
        for row in cell.rows
    )
    write_csv(folder / "metrics.csv", header, rows)
    write_json(
        folder / "specs.json",
        {name: {"needs": entry.needs} | asdict(entry.spec) for name, entry in sorted(load_metrics().items())},
    )
    save_arrays(folder / "spectra.safetensors", _arrays(cells))
    diagnoses = {
        regime: [{"seed": cell.run.seed} | cell.diagnosis.as_dict() for cell in measured]
        for regime, measured in regimes.items()
    }
    write_json(folder / "diagnosis.json", {"schema": 1, "complete": False, "regimes": diagnoses})


def _rows(step: int, layer: str, evidence: Evidence) -> list[Row]:
    """Every metric of one layer, with the number of images and dimensions, the view and the mode that it was taken from."""
    needs, d = load_metrics(), evidence.sample.shape[1]
    rows: list[Row] = []
    for name, value in compute_all(evidence).items():
        augmented = "views" in needs[name].needs and evidence.views is not None
        images = len(evidence.views) if augmented and evidence.views is not None else len(evidence.sample)
        rows.append((step, layer, name, value, images, d, "augmented" if augmented else "clean", "eval"))
    return rows


def _spectra(snapshot: Snapshot) -> dict[str, NDArray[np.float64]]:
    found = {layer: evidence.moments.eigenvalues for layer, evidence in snapshot.layers.items()}
    tokens = {f"{layer}@tokens": e.tokens.eigenvalues for layer, e in snapshot.layers.items() if e.tokens is not None}
    return found | tokens


def _arrays(cells: list[Measured]) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    for cell in cells:
        key = f"{cell.run.regime}/{cell.run.seed}"
        arrays[f"{key}/steps"] = cell.steps
        arrays |= {f"{key}/{layer}": spectrum for layer, spectrum in cell.spectra.items()}
    return arrays
