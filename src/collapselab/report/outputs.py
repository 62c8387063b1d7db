"""The numbers that the report hands on: summary.json and metrics.json (a stable interface), and plots/ for DVC."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from collapselab.files import write_csv, write_json
from collapselab.report.chart import thinned
from collapselab.report.charts import mean_spectrum
from collapselab.report.inputs import TOKENS, Results, Run
from collapselab.report.tables import mean
from collapselab.report.verdicts import final_std

SCHEMA = 1


def significant(value: float) -> float | None:
    """Six significant digits; None where undefined, as JSON has no NaN."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def summary(results: Results) -> dict[str, dict[str, float | None]]:
    """Means over seeds, flat, for `dvc metrics`."""
    return {
        name: {
            "knn": significant(mean(run.score("knn", "final") for run in runs)),
            "linear": significant(mean(run.score("linear", "final") for run in runs)),
            "loss": significant(mean(float(run.history["loss"][-1]) for run in runs)),
            "std": significant(mean(final_std(run) for run in runs)),
        }
        for name, runs in results.regimes.items()
    }


def metrics(results: Results) -> dict[str, Any]:
    """Every run's values at its last step."""
    return {
        "schema": SCHEMA,
        "study": results.study,
        "fingerprint": results.fingerprint,
        "pixels": {
            "knn": significant(results.pixels["knn"]),
            "linear": significant(results.pixels["linear"]),
        },
        "regimes": {name: [_run(run) for run in runs] for name, runs in results.regimes.items()},
    }


def _run(run: Run) -> dict[str, Any]:
    return {
        "seed": run.seed,
        "knn": significant(run.score("knn", "final")),
        "linear": significant(run.score("linear", "final")),
        "loss": significant(float(run.history["loss"][-1])),
        "knn_best_validation": run.knn["best"],
        "knn_init": significant(run.score("knn", "initial")),
        "linear_init": significant(run.score("linear", "initial")),
        "verdict": list(run.diagnosis["verdict"]),
        "verdicts": {layer: list(kinds) for layer, kinds in run.diagnosis["verdicts"].items()},
        "metrics": {
            layer: {metric: significant(run.last(layer, metric)) for metric in found}
            for layer, found in run.metrics.items()
        },
    }


def write_numbers(results: Results, out: Path) -> None:
    write_json(out / "summary.json", summary(results))
    write_json(out / "metrics.json", metrics(results))
    write_csv(out / "plots" / "history.csv", ("regime", "seed", "step", "loss"), _history(results.runs))
    write_csv(out / "plots" / "spectra.csv", ("regime", "layer", "index", "log10_eigenvalue"), _spectra(results))


def _history(runs: Sequence[Run]) -> Iterator[tuple[str, int, int, str]]:
    for run in runs:
        for place in thinned(run.history["step"]):
            yield run.regime, run.seed, int(run.history["step"][place]), f"{run.history['loss'][place]:.6g}"


def _spectra(results: Results) -> Iterator[tuple[str, str, int, str]]:
    """Spectra at the last step, mean of the logarithms over seeds."""
    for name, runs in results.regimes.items():
        for layer in sorted(layer for layer in runs[0].spectra if not layer.endswith(TOKENS)):
            index, values = mean_spectrum(runs, layer, -1)
            for place in thinned(index, log=False):
                yield name, layer, int(index[place]), f"{values[:, place].mean():.6g}"
