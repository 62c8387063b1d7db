"""What the report is made from: every file of a study that it reads, gathered without importing torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapselab.errors import UserError
from collapselab.evaluation.answers import ORIGINAL
from collapselab.files import load_arrays, read_csv, read_json, sha256, sha256_file
from collapselab.report.puzzle import onevector, taken
from collapselab.runs import Run as Cell
from collapselab.runs import runs as cells

Floats = NDArray[np.float64]
TOKENS = "@tokens"  # suffix of a layer whose spectrum is taken over all token outputs
SHUFFLED = "@shuffled"  # suffix of a layer whose spectrum is taken after each column was permuted over images
COLLAPSE = ("metrics.csv", "gradients.csv", "severities.csv", "alarms.csv", "spectra.safetensors", "diagnosis.json")
ANSWERS = {"knn": "knn", "linear": "linear_probe"}  # score -> file of answers/
NOT_TERMS = ("step", "epoch", "learning_rate", "ema", "loss")  # columns of history.csv that are no term of the loss


@dataclass(frozen=True)
class Series:
    """Values over training steps."""

    steps: Floats
    values: Floats


@dataclass(frozen=True)
class Run:
    """One regime at one seed.

    Attributes:
        history: column of history.csv -> values, one a step.
        metrics: layer -> metric -> values over snapshots.
        gradients: weight layer -> norm of its gradient over snapshots, in the network's order.
        severities: layer -> kind -> severity over snapshots.
        spectra: layer (and layer@tokens, layer@shuffled) -> covariance eigenvalues [S, d], descending, over snapshots.
        knn, linear: the run's entries of knn.json and linear_probe.json; diagnosis: of diagnosis.json.
    """

    regime: str
    seed: int
    config: Mapping[str, Any]
    history: Mapping[str, Floats]
    metrics: Mapping[str, Mapping[str, Series]]
    gradients: Mapping[str, Series]
    severities: Mapping[str, Mapping[str, Series]]
    spectra: Mapping[str, Floats]
    knn: Mapping[str, Any]
    linear: Mapping[str, Any]
    diagnosis: Mapping[str, Any]

    @property
    def representation(self) -> str:
        return str(self.config["representation"])

    @property
    def layers(self) -> list[str]:
        """The representation, then the layers that the loss acts on."""
        return list(dict.fromkeys([self.representation, *self.config["loss_layers"]]))

    def metric(self, layer: str, metric: str) -> Series | None:
        return self.metrics.get(layer, {}).get(metric)

    def last(self, layer: str, metric: str) -> float:
        """The metric at the last snapshot, NaN where the layer has no such metric."""
        series = self.metric(layer, metric)
        return float(series.values[-1]) if series else float("nan")

    def first(self, layer: str, metric: str) -> float:
        """The same at random initialisation; NaN where the metric is not defined before the first step."""
        series = self.metric(layer, metric)
        return float(series.values[0]) if series and series.steps[0] == 0 else float("nan")

    def score(self, table: str, when: str) -> float:
        """Accuracy on test images, 0 to 1, at the representation; `table` is knn or linear, `when` initial or final.

        NaN where the images carry no labels.
        """
        entry = self.knn if table == "knn" else self.linear
        return defined(entry["layers"][self.representation][when])


@dataclass(frozen=True)
class Results:
    """Everything a report says, before it is said.

    `alarms` are the rows of alarms.csv; `images` the images' own metrics and how well their factors are read from pixels;
    `right`: knn or linear -> `regime/seed/layer/moment` or `pixels` -> whether each test image was named rightly, [M];
    `originals`: which of the test images are draws of one original, [M].
    """

    study: str
    params: dict[str, Any]
    manifest: Mapping[str, Any]
    regimes: Mapping[str, list[Run]]
    pixels: Mapping[str, float]
    knn: Mapping[str, Any]
    alarms: list[dict[str, str]]
    images: Mapping[str, Mapping[str, float | None]]
    previews: list[dict[str, Any]]
    fingerprint: str
    right: Mapping[str, Mapping[str, NDArray[np.uint8]]] = field(default_factory=dict)
    originals: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @property
    def labelled(self) -> bool:
        """Whether the images carry labels; where not, there are no accuracies."""
        return not np.isnan(self.pixels["knn"])

    @property
    def runs(self) -> list[Run]:
        return [run for runs in self.regimes.values() for run in runs]


def input_paths(params: dict[str, Any], root: Path = Path()) -> list[Path]:
    """The files that the report reads, data set and previews included."""
    folder = root / "runs" / str(params["study"])
    paths = [
        root / "data" / str(params["data"]["source"]) / "manifest.json",
        folder / "knn.json",
        folder / "linear_probe.json",
        *(folder / "answers" / f"{name}.safetensors" for name in ANSWERS.values()),
    ]
    paths += [folder / "collapse" / name for name in COLLAPSE]
    paths += [cell.folder / name for cell in cells(params, root) for name in ("config.json", "history.csv")]
    paths += [*taken.inputs(params, root), *onevector.inputs(params, root)]
    index = folder / "preview" / "index.json"
    return [*paths, index, *(index.parent / str(grid["file"]) for grid in read_json(index)["grids"])]


def fingerprint(paths: Iterable[Path]) -> str:
    """sha256 over the sorted content hashes of `paths`: equal exactly when the files hold the same, wherever they lie.

    Raises UserError where one is missing.
    """
    return sha256("\n".join(sorted(_hash(path) for path in paths)).encode())


def _hash(path: Path) -> str:
    try:
        return sha256_file(path)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: run `dvc repro` to make it") from error


def gather(params: dict[str, Any], root: Path = Path()) -> Results:
    """Read and join everything.

    Raises UserError that names the file where one is missing, unreadable or lacks a run.
    """
    paths = input_paths(params, root)
    mark = fingerprint(paths)
    folder = root / "runs" / str(params["study"])
    tables = {name: read_json(folder / f"{name}.json") for name in ("knn", "linear_probe", "collapse/diagnosis")}
    metrics = _curves(folder / "collapse" / "metrics.csv", "metric", "value")
    gradients = _gradients(folder / "collapse" / "gradients.csv")
    severities = _curves(folder / "collapse" / "severities.csv", "kind", "severity")
    spectra = load_arrays(folder / "collapse" / "spectra.safetensors")
    right = {score: load_arrays(folder / "answers" / f"{name}.safetensors") for score, name in ANSWERS.items()}
    regimes: dict[str, list[Run]] = {}
    for cell in cells(params, root):
        knn, linear, diagnosis = (_entry(table, folder / f"{name}.json", cell) for name, table in tables.items())
        run = Run(
            regime=cell.regime,
            seed=cell.seed,
            config=cell.config,
            history=_history(cell.folder / "history.csv"),
            metrics=metrics.get((cell.regime, cell.seed), {}),
            gradients=gradients.get((cell.regime, cell.seed), {}),
            severities=severities.get((cell.regime, cell.seed), {}),
            spectra=_spectra(spectra, folder / "collapse" / "spectra.safetensors", cell),
            knn=knn,
            linear=linear,
            diagnosis=diagnosis,
        )
        regimes.setdefault(cell.regime, []).append(run)
    return Results(
        study=str(params["study"]),
        params=params,
        manifest=read_json(paths[0]),
        regimes=regimes,
        pixels={score: defined(tables[name]["pixels"][score]) for score, name in ANSWERS.items()},
        knn=tables["knn"],
        alarms=read_csv(folder / "collapse" / "alarms.csv"),
        images=tables["collapse/diagnosis"]["pixels"],
        previews=read_json(folder / "preview" / "index.json")["grids"],
        fingerprint=mark,
        right=right,
        originals=right["knn"][ORIGINAL],
    )


def _entry(table: Mapping[str, Any], path: Path, cell: Cell) -> dict[str, Any]:
    for entry in table["regimes"].get(cell.regime, []):
        if entry["seed"] == cell.seed:
            return dict(entry)
    raise _lacks(path, cell)


def _lacks(path: Path, cell: Cell) -> UserError:
    return UserError(f"{path} has nothing for regime {cell.regime}, seed {cell.seed}: run `dvc repro` to make it again")


def _history(path: Path) -> dict[str, Floats]:
    rows = read_csv(path)
    if not rows:
        raise UserError(f"{path} holds no step: delete it and run `dvc repro` to make it again")
    return {column: np.array([number(row[column]) for row in rows]) for column in rows[0]}


def number(text: str) -> float:
    """A cell of a CSV; an empty one is an undefined value."""
    return float(text) if text else float("nan")


def defined(value: float | None) -> float:
    """A number of a JSON; null is an undefined value."""
    return float("nan") if value is None else float(value)


def _curves(path: Path, name: str, value: str) -> dict[tuple[str, int], dict[str, dict[str, Series]]]:
    """(regime, seed) -> layer -> the column `name` -> the column `value` over steps."""
    points: dict[tuple[str, int], dict[str, dict[str, list[tuple[float, float]]]]] = {}
    for row in read_csv(path):
        layers = points.setdefault((row["regime"], int(row["seed"])), {})
        layers.setdefault(row["layer"], {}).setdefault(row[name], []).append((float(row["step"]), number(row[value])))
    return {
        cell: {layer: {curve: _series(pairs) for curve, pairs in found.items()} for layer, found in layers.items()}
        for cell, layers in points.items()
    }


def _gradients(path: Path) -> dict[tuple[str, int], dict[str, Series]]:
    """(regime, seed) -> weight layer -> norm over steps."""
    points: dict[tuple[str, int], dict[str, list[tuple[float, float]]]] = {}
    for row in read_csv(path):
        layers = points.setdefault((row["regime"], int(row["seed"])), {})
        layers.setdefault(row["layer"], []).append((float(row["step"]), number(row["norm"])))
    return {cell: {layer: _series(pairs) for layer, pairs in layers.items()} for cell, layers in points.items()}


def _series(pairs: list[tuple[float, float]]) -> Series:
    steps, values = np.array(sorted(pairs)).T
    return Series(steps, values)


def _spectra(arrays: Mapping[str, NDArray[Any]], path: Path, cell: Cell) -> dict[str, Floats]:
    prefix = f"{cell.regime}/{cell.seed}/"
    found = {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
    if found.pop("steps", None) is None:
        raise _lacks(path, cell)
    return found
