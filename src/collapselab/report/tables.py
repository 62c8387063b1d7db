"""Results as rows of text: the verdict table, and the data behind each figure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from collapselab.report.chart import Chart, Line
from collapselab.report.inputs import Results, Run

NONE = "\N{EN DASH}"  # a value that does not exist
# What the first page shows of all metrics, and what each is read beside.
KEY_METRICS = {
    "effective_rank": "rank_ceiling",
    "spectral_entropy_rank": "rank_ceiling",
    "live_directions": "rank_ceiling",
    "log_trace": "",
    "normalised_std": "inverse_sqrt_dim",
    "mean_share": "",
    "variance_ratio": "",
    "median_distance": "",
    "self_cluster": "",
    "lid_mle": "",
    "mean_entropy": "log_k",
    "marginal_entropy": "log_k",
    "token_position_share": "",
    "cka_to_start": "",
}
PIXELS = "raw pixels"
ALARMS = 10  # metrics that an alarm table shows
MARKS = [0, *(mantissa * 10**power for power in range(7) for mantissa in (1, 2, 5))]  # columns of a data table


@dataclass(frozen=True)
class Table:
    header: list[str]
    rows: list[list[str]]
    words: int = 2  # leading columns of words rather than numbers


@dataclass(frozen=True)
class MetricTable:
    """Metrics down, regimes across, at one place of the network; a cell is (at the end, at initialisation)."""

    title: str
    regimes: list[str]
    rows: list[tuple[str, list[tuple[str, str]]]]


def metric_tables(results: Results, only: Iterable[str] | None = None) -> list[MetricTable]:
    """At the representation, and at the first layer that each regime's loss acts on. Means over seeds."""
    regimes = list(results.regimes)
    tables = []
    for title, place in (("the representation", 0), ("the layer that the loss acts on", 1)):
        layers = [runs[0].layers[min(place, len(runs[0].layers) - 1)] for runs in results.regimes.values()]
        names = (
            list(only)
            if only is not None
            else sorted(
                {name for runs in results.regimes.values() for name in runs[0].metrics.get(runs[0].layers[place], {})}
            )
        )
        rows = []
        for name in names:
            cells = [
                _metric_cell(runs, layer, name) for runs, layer in zip(results.regimes.values(), layers, strict=True)
            ]
            if any(cell != (NONE, NONE) for cell in cells):
                pixels = results.images["metrics"].get(name)
                rows.append((name, [*cells, (NONE if pixels is None else short(pixels, 3), "")]))
        tables.append(MetricTable(title, [*regimes, PIXELS], rows))
    return tables


def _metric_cell(runs: Sequence[Run], layer: str, name: str) -> tuple[str, str]:
    return short(mean(run.last(layer, name) for run in runs), 3), short(mean(run.first(layer, name) for run in runs), 3)


def by_backbone(results: Results) -> dict[str, list[Run]]:
    groups: dict[str, list[Run]] = {}
    for run in results.runs:
        groups.setdefault(str(run.config["config"]["backbone"]), []).append(run)
    return groups


def factor_table(results: Results) -> Table | None:
    """What became of each recorded factor, regime by regime and layer by layer; None where the data set records none."""
    factors = list(results.images["factors"])
    if not factors:
        return None
    rows = []
    for regime, runs in results.regimes.items():
        for layer in runs[0].layers:
            judged = [run.diagnosis["factors"][layer] for run in runs if layer in run.diagnosis["factors"]]
            if judged:
                rows.append([regime, layer, *(_factor(judged, factor) for factor in factors)])
    pixels = (results.images["factors"][factor] for factor in factors)
    rows.append([PIXELS, "", *(f"{value:.2f}" if value is not None else NONE for value in pixels)])
    return Table(["regime", "layer", *factors], rows)


def _factor(judged: Sequence[dict[str, Any]], factor: str) -> str:
    """ "made invariant, 0.11 (0.58)": the verdict, or verdicts where seeds differ, R^2 and in brackets at initialisation."""
    found = [layer[factor] for layer in judged]
    verdicts = " or ".join(dict.fromkeys(entry["verdict"] for entry in found))
    now, before = (mean(entry[key] for entry in found) for key in ("r2", "initial"))
    return f"{verdicts}, {max(0.0, now):.2f} ({max(0.0, before):.2f})"


def alarm_tables(results: Results) -> list[tuple[str, Table]]:
    """For each regime with a guard-on twin: the metrics that warned of its collapse in every seed, the earliest first.

    A metric that gave an alarm in a healthy twin as well is left out. (heading, table) for each regime.
    """
    tables = []
    for regime, runs in results.regimes.items():
        rows = [row for row in results.alarms if row["regime"] == regime]
        if not rows:
            continue
        by_metric: dict[tuple[str, str], list[dict[str, str]]] = {}
        for row in rows:
            by_metric.setdefault((row["layer"], row["metric"]), []).append(row)
        clean = [
            found for found in by_metric.values() if all(row["alarm"] and not row["healthy_alarm"] for row in found)
        ]
        clean.sort(key=lambda found: (max(int(row["alarm"]) for row in found), found[0]["layer"], found[0]["metric"]))
        header = ["metric", "layer", "alarm at step, by seed", "steps before k-NN fell behind"]
        cells = [
            [found[0]["metric"], found[0]["layer"], _each(found, "alarm"), _each(found, "lead")]
            for found in clean[:ALARMS]
        ]
        falls = "; ".join(dict.fromkeys(f"seed {run.seed}: {run.diagnosis['fall_words']}" for run in runs))
        heading = (
            f"{regime} against {rows[0]['twin']}: {len(clean)} of {len(by_metric)} metrics warned in every seed and in no "
            f"healthy run (no false-alarm rate below {rows[0]['false_alarm_rate']} can be quoted). {falls[:1].upper()}{falls[1:]}."
        )
        tables.append((heading, Table(header, cells)))
    return tables


def _each(rows: Sequence[dict[str, str]], key: str) -> str:
    return ", ".join(row[key] or NONE for row in rows)


def gain(runs: Iterable[Run]) -> float:
    """Mean change of k-NN from initialisation, percentage points."""
    return mean(100 * (run.score("knn", "final") - run.score("knn", "initial")) for run in runs)


def mean(values: Iterable[float]) -> float:
    """Over the values that are defined; NaN where none is."""
    defined = [value for value in values if not math.isnan(value)]
    return math.fsum(defined) / len(defined) if defined else math.nan


def data_table(chart: Chart) -> Table:
    """Means over seeds at round places of x and at the end."""
    last = {line.x[-1] for panel in chart.panels for line in panel.lines}
    xs = {x for panel in chart.panels for line in panel.lines for x in line.x.tolist()}
    marks = [mark for mark in MARKS if mark in xs and mark < max(last)]
    columns = [*(f"{chart.x_label} {mark}" for mark in marks), "end"]
    if chart.ticks:
        marks, columns = list(range(1, len(chart.ticks))), list(chart.ticks)
    header = ["layer" if chart.ticks else "regime", "curve", *columns]
    rows = []
    for panel in chart.panels:
        rows += [[panel.title, line.label, *_cells(line, marks)] for line in panel.lines]
        rows += [[panel.title, _reference(chart, line), *_cells(line, marks)] for line in panel.references]
    return Table(header, rows)


def _reference(chart: Chart, line: Line) -> str:
    return f"{line.label}: {chart.reference}"


def _cells(line: Line, marks: Sequence[int]) -> list[str]:
    values = dict(zip(line.x.tolist(), line.mean.tolist(), strict=True))
    return [short(values.get(float(mark), math.nan)) for mark in marks] + [short(float(line.mean[-1]))]


def percent(share: float) -> str:
    return NONE if math.isnan(share) else f"{100 * share:.1f} %"


def signed(points: float) -> str:
    return NONE if math.isnan(points) else f"{points:+.1f}".replace("-", "\N{MINUS SIGN}")


def short(value: float, digits: int = 4) -> str:
    """Significant digits for reading: four are enough to tell an entropy from log K, three fit into wide tables."""
    if not np.isfinite(value):
        return NONE
    return f"{value:.{digits}g}".replace("e-0", "e-").replace("e+0", "e").replace("-", "\N{MINUS SIGN}")
