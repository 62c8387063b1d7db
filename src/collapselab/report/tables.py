"""Results as rows of text: the verdict table, and the data behind each figure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from collapselab.report.charts import Chart, Line
from collapselab.report.inputs import Results, Run

NONE = "\N{EN DASH}"  # a value that does not exist
MARKS = [0, *(mantissa * 10**power for power in range(7) for mantissa in (1, 2, 5))]  # columns of a data table


@dataclass(frozen=True)
class Badge:
    """A kind of collapse, and in how many of the seeds it was found (empty: in all)."""

    kind: str
    share: str = ""


@dataclass(frozen=True)
class Row:
    """A row of the verdict table; `badges` None where a verdict does not apply, empty where the regime is healthy."""

    name: str
    reference: bool
    switched_off: str
    badges: tuple[Badge, ...] | None
    knn: str
    spread: str = ""
    knn_initial: str = NONE
    change: str = NONE
    linear: str = NONE
    loss: str = NONE
    std: str = NONE


@dataclass(frozen=True)
class Table:
    header: list[str]
    rows: list[list[str]]


def verdict_table(results: Results) -> list[Row]:
    """The regimes as params.yaml orders them, then what they must be compared with: initialisation and raw pixels."""
    rows = [_regime_row(name, runs) for name, runs in results.regimes.items()]
    rows += [_initial_row(backbone, runs) for backbone, runs in by_backbone(results).items()]
    pixels = results.pixels
    return [*rows, Row("raw pixels", True, "", None, percent(pixels["knn"]), linear=percent(pixels["linear"]))]


def by_backbone(results: Results) -> dict[str, list[Run]]:
    groups: dict[str, list[Run]] = {}
    for run in results.runs:
        groups.setdefault(str(run.config["config"]["backbone"]), []).append(run)
    return groups


def _regime_row(name: str, runs: Sequence[Run]) -> Row:
    knn = [run.score("knn", "final") for run in runs]
    off = [str(guard) for guard in runs[0].config["guards_off"]]
    return Row(
        name=name,
        reference=False,
        switched_off=", ".join(off) or ("trained with labels" if runs[0].config["supervised"] else NONE),
        badges=badges(runs),
        knn=percent(mean(knn)),
        spread=f"{100 * min(knn):.1f} to {100 * max(knn):.1f}" if len(knn) > 1 else "",
        knn_initial=percent(mean(run.score("knn", "initial") for run in runs)),
        change=signed(gain(runs)),
        linear=percent(mean(run.score("linear", "final") for run in runs)),
        loss=short(mean(float(run.history["loss"][-1]) for run in runs)),
        std=short(mean(final_std(run) for run in runs)),
    )


def _initial_row(backbone: str, runs: Sequence[Run]) -> Row:
    """One random network is another's baseline only where the architecture is the same."""
    knn, linear = (mean(run.score(table, "initial") for run in runs) for table in ("knn", "linear"))
    return Row(f"random initialisation, {backbone}", True, "", None, percent(knn), linear=percent(linear))


def badges(runs: Sequence[Run]) -> tuple[Badge, ...]:
    found = [kind for run in runs for kind in run.diagnosis["verdict"]]
    return tuple(
        Badge(kind, "" if (count := found.count(kind)) == len(runs) else f"{count} of {len(runs)} seeds")
        for kind in dict.fromkeys(found)
    )


def gain(runs: Iterable[Run]) -> float:
    """Mean change of k-NN from initialisation, percentage points."""
    return mean(100 * (run.score("knn", "final") - run.score("knn", "initial")) for run in runs)


def final_std(run: Run) -> float:
    """Normalised std at the end, at the first layer that the loss acts on."""
    return run.last(str(run.config["loss_layers"][0]), "normalised_std")


def mean(values: Iterable[float]) -> float:
    """Over the values that are defined; NaN where none is."""
    defined = [value for value in values if not math.isnan(value)]
    return math.fsum(defined) / len(defined) if defined else math.nan


def data_table(chart: Chart) -> Table:
    """Means over seeds at round places of x and at the end."""
    last = {line.x[-1] for panel in chart.panels for line in panel.lines}
    xs = {x for panel in chart.panels for line in panel.lines for x in line.x.tolist()}
    marks = [mark for mark in MARKS if mark in xs and mark < max(last)]
    header = ["regime", "curve", *(f"{chart.x_label} {mark}" for mark in marks), "end"]
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


def short(value: float) -> str:
    """Four significant digits, for reading: enough to tell an entropy from log K."""
    if not np.isfinite(value):
        return NONE
    return f"{value:.4g}".replace("e-0", "e-").replace("e+0", "e").replace("-", "\N{MINUS SIGN}")
