"""The files that the collapse stage leaves for a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapselab.collapse.baseline import DataBaseline
from collapselab.collapse.measure import Measured
from collapselab.collapse.registry import Value, load_metrics
from collapselab.collapse.timing.timeline import ALARM_HEADER, timelines
from collapselab.files import save_arrays, write_csv, write_json

SCHEMA = 2


def write(folder: Path, regimes: Mapping[str, Sequence[Measured]], knn: Mapping[str, Any], data: DataBaseline) -> None:
    """metrics.csv, gradients.csv, severities.csv, alarms.csv, specs.json, spectra.safetensors and diagnosis.json.

    Args:
        knn: what knn.json holds, whose curves the onsets are set beside.
        data: the images' own values.
    """
    cells = [cell for measured in regimes.values() for cell in measured]
    header = ("regime", "seed", "step", "layer", "metric", "value", "n", "d", "view", "mode")
    write_csv(folder / "metrics.csv", header, _metric_rows(cells))
    write_csv(folder / "gradients.csv", ("regime", "seed", "step", "layer", "norm", "snr"), _gradient_rows(cells))
    write_csv(folder / "severities.csv", ("regime", "seed", "step", "layer", "kind", "severity"), _severity_rows(cells))
    specs = {name: {"needs": entry.needs} | asdict(entry.spec) for name, entry in sorted(load_metrics().items())}
    write_json(folder / "specs.json", specs)
    save_arrays(folder / "spectra.safetensors", _arrays(cells))
    found, alarms = timelines(regimes, knn)
    write_csv(folder / "alarms.csv", ALARM_HEADER, [row for alarm in alarms for row in alarm.rows()])
    diagnoses = {
        regime: [
            {"seed": cell.run.seed} | cell.diagnosis.as_dict() | timeline.as_dict() | {"factors": cell.factors}
            for cell, timeline in zip(measured, found[regime], strict=True)
        ]
        for regime, measured in regimes.items()
    }
    write_json(folder / "diagnosis.json", {"schema": SCHEMA, "pixels": data.as_dict(), "regimes": diagnoses})


def _metric_rows(cells: Sequence[Measured]) -> list[tuple[Any, ...]]:
    return [
        (cell.run.regime, cell.run.seed, *row[:3], _number(row[3]), *row[4:]) for cell in cells for row in cell.rows
    ]


def _gradient_rows(cells: Sequence[Measured]) -> list[tuple[Any, ...]]:
    return [
        (cell.run.regime, cell.run.seed, step, layer, _number(norm), _number(snr))
        for cell in cells
        for step, layer, norm, snr in cell.gradients
    ]


def _number(value: Value) -> str:
    return "" if value is None else f"{value:.9g}"


def _severity_rows(cells: Sequence[Measured]) -> list[tuple[Any, ...]]:
    return [
        (cell.run.regime, cell.run.seed, int(step), layer, kind, "" if np.isnan(value) else f"{value:.6g}")
        for cell in cells
        for layer, kinds in cell.severities.items()
        for kind, values in kinds.items()
        for step, value in zip(cell.steps, values, strict=True)
    ]


def _arrays(cells: Sequence[Measured]) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    for cell in cells:
        key = f"{cell.run.regime}/{cell.run.seed}"
        arrays[f"{key}/steps"] = cell.steps
        arrays |= {f"{key}/{layer}": spectrum for layer, spectrum in cell.spectra.items()}
    return arrays
