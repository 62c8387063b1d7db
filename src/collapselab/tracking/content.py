"""What each run shows: read only for the runs that MLflow does not hold yet.

Names: a bare metric (`knn`, `effective_rank`) is of the representation, whatever a method calls that layer, so that all
regimes share a chart; `knn/embedding` is of another layer. A cell's `std` is the report's: normalised std at the first
layer that the loss acts on. Every curve's step is an optimiser step.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collapselab.files import read_csv, read_json
from collapselab.tracking.disk import CELL, STUDY, Key, Tree, digest
from collapselab.tracking.figures import spectra

Point = tuple[str, float, int]  # metric, value, step

RANKS = ("effective_rank", "spectral_entropy_rank")
STD = "normalised_std"
SUMMARY = ("knn", "linear", "knn_init", "linear_init", "loss")
DESCRIPTION = "mlflow.note.content"


@dataclass(frozen=True)
class Data:
    """A data set as MLflow's inputs name one."""

    name: str
    digest: str


@dataclass
class Content:
    """`artifacts` are files and folders, each with the folder of the run that it goes to; `texts` are files by name."""

    metrics: list[Point] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    artifacts: list[tuple[Path, str]] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    data: Data | None = None


def content(tree: Tree, key: Key) -> Content:
    """All that the run of `key` shows."""
    if key.stage == STUDY:
        return _study(tree)
    config = read_json(tree.pretrained(key.regime, key.seed) / "config.json")
    shown = CONTENTS[key.stage](tree, key, config)
    _name_data(shown, config["data"])
    return shown


def _cell(tree: Tree, key: Key, config: dict[str, Any]) -> Content:
    """The summary that a person compares."""
    shown = Content(params=_params(config))
    summary = tree.summary(key.regime, key.seed)
    if summary:
        values = {name: summary.get(name) for name in SUMMARY}
        layers = summary["metrics"]
        values["std"] = layers.get(config["loss_layers"][0], {}).get(STD)
        values |= {rank: layers.get(config["representation"], {}).get(rank) for rank in RANKS}
        shown.metrics = _points(values, step=0)  # at any other step MLflow draws lines of one point instead of bars
        shown.tags["verdict"] = ", ".join(summary["verdict"]) or "healthy"
    diagnosis = tree.result("collapse", key.regime, key.seed)
    if diagnosis and not tree.outdated("collapse", key.regime):
        shown.tags[DESCRIPTION] = diagnosis["sentence"]
    return shown


def _pretrain(tree: Tree, key: Key, config: dict[str, Any]) -> Content:
    folder = tree.pretrained(key.regime, key.seed)
    return Content(metrics=history(read_csv(folder / "history.csv")), artifacts=[(folder / "config.json", "")])


def _knn(tree: Tree, key: Key, config: dict[str, Any]) -> Content:
    """Test images at initialisation and at the end; validation images along the way."""
    result, whole = tree.result("knn", key.regime, key.seed) or {}, tree.results["knn"]
    curve = [("knn_validation", point["knn"], point["step"]) for point in result["curve"]]
    params = {"temperature": _text(whole["temperature"])}
    if result["k"]:  # none where the images carry no labels
        params |= {"k": _text(result["k"]["table"]), "k_validation": _text(result["k"]["curve"])}
    return Content(_ends("knn", result, config) + curve, params)


def _linear_probe(tree: Tree, key: Key, config: dict[str, Any]) -> Content:
    return Content(_ends("linear", tree.result("linear_probe", key.regime, key.seed) or {}, config))


def _collapse(tree: Tree, key: Key, config: dict[str, Any]) -> Content:
    """The curves of a few metrics at the layers that are judged; all others stand in the study run's metrics.csv."""
    header = ("regime", "seed", "step", "layer", "metric", "value")
    layers = {config["representation"], *config["loss_layers"]}
    diagnosis = tree.result("collapse", key.regime, key.seed) or {}
    shown = Content(tags={DESCRIPTION: diagnosis["sentence"]})
    path = tree.runs / "collapse" / "spectra.safetensors"
    drawn = spectra(path, key.regime, key.seed, config, diagnosis["verdict"])
    if drawn:
        shown.texts["spectra.svg"] = drawn
    for row in csv.DictReader(tree.measurements.get((key.regime, key.seed), ()), header):
        if row["layer"] in layers and row["metric"] in (STD, *RANKS):
            shown.metrics += _points({_name(row["metric"], row["layer"], config): row["value"]}, int(row["step"]))
    return shown


CONTENTS: dict[str, Callable[[Tree, Key, dict[str, Any]], Content]] = {
    CELL: _cell,
    "pretrain": _pretrain,
    "knn": _knn,
    "linear_probe": _linear_probe,
    "collapse": _collapse,
}


def _study(tree: Tree) -> Content:
    """Every stage's output as a whole, the pixels' scores, and the report."""
    data, runs = tree.root / "data" / tree.source, tree.runs
    files = {
        "download": [(data / "manifest.json", "data")],
        "preview": [(runs / "preview", "preview")],
        "knn": [(runs / "knn.json", "evaluation")],
        "linear_probe": [(runs / "linear_probe.json", "evaluation")],
        "collapse": [(runs / "collapse" / name, "collapse") for name in ("metrics.csv", "diagnosis.json")],
        "report": [(tree.report, "report")],
    }
    held = tree.held()
    shown = Content(artifacts=[pair for stage in held for pair in files[stage]])
    shown.tags[DESCRIPTION] = f"The study {tree.study} as a whole. Its report is under Artifacts: report/report.html."
    for stage in {"knn", "linear_probe"}.intersection(held):
        pixels = tree.results[stage]["pixels"]
        shown.metrics += _points({f"{metric}_pixels": value for metric, value in pixels.items()}, 0)
    if "download" in held:
        _name_data(shown, read_json(data / "manifest.json"))
    return shown


def history(rows: Iterable[dict[str, str]]) -> list[Point]:
    """The points of history.csv's rows: all its columns on its step axis."""
    points: list[Point] = []
    for row in rows:
        values = {name: value for name, value in row.items() if name not in ("step", "epoch")}
        points += _points(values, int(row["step"]))
    return points


def _ends(metric: str, result: dict[str, Any], config: dict[str, Any]) -> list[Point]:
    """A score at initialisation and at the end of training, layer by layer."""
    steps = {"initial": 0, "final": int(config["steps"])}
    return [
        point
        for layer, scores in result["layers"].items()
        for moment, step in steps.items()
        for point in _points({_name(metric, layer, config): scores.get(moment)}, step)
    ]


def _name(metric: str, layer: str, config: dict[str, Any]) -> str:
    return metric if layer == config["representation"] else f"{metric}/{layer}"


def _points(values: dict[str, Any], step: int) -> list[Point]:
    """Values that are numbers; one that does not apply, or is not finite, has no point in a chart."""
    numbers = {name: float(value) for name, value in values.items() if value not in (None, "")}
    return [(name, value, step) for name, value in numbers.items() if math.isfinite(value)]


def _params(config: dict[str, Any]) -> dict[str, str]:
    """What every regime names, flat, then the method's own keys."""
    from collapselab.config.training import Regime

    regime, optimiser = config["config"], config["config"]["optimiser"]
    common = {"regime": config["regime"], "seed": config["seed"]}
    common |= {name: regime[name] for name in ("method", "backbone", "augmentation", "epochs", "batch_size")}
    common["optimiser"] = optimiser["name"]
    common |= {name: optimiser[name] for name in ("learning_rate", "weight_decay")}
    common["guards_off"] = ", ".join(config["guards_off"]) or "none"
    own = {name: value for name, value in regime.items() if name not in Regime.model_fields}
    return {name: _text(value) for name, value in {**common, **own}.items()}


def _text(value: Any) -> str:
    """As params.yaml would write it; lists in short: 2048-2048-128."""
    if isinstance(value, list):
        return "-".join(_text(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items())
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _name_data(shown: Content, description: dict[str, Any]) -> None:
    shown.data = Data(description["source"], digest(description["sha256"]))
    shown.tags["data"] = shown.data.digest
