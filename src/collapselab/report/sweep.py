"""Across regimes that differ in their augmentation alone: which of the images' factors dies first, and what the spectrum does.

No params key declares a sweep: regimes that say the same but for `augmentation` are one, in the order in which params.yaml
names them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import numpy as np

from collapselab.report.chart import Chart, Line, Panel
from collapselab.report.charts import DEEPEST, mean_spectrum
from collapselab.report.inputs import Floats, Results, Run

FEWEST = 3  # regimes that make a sweep
READABLE = 0.1  # R^2 from which a factor is there, as `collapse.factors.verdicts` has it
HALF = 0.5  # of the R^2 at the sweep's first regime: below it, and to the sweep's end, a factor has fallen


def sweeps(results: Results) -> list[list[str]]:
    """Groups of regimes that differ in their augmentation alone."""
    groups: dict[str, list[str]] = {}
    for name in results.regimes:
        entry = {key: value for key, value in results.params["regimes"][name].items() if key != "augmentation"}
        groups.setdefault(json.dumps(entry, sort_keys=True), []).append(name)
    return [names for names in groups.values() if len(names) >= FEWEST]


def sweep_charts(results: Results) -> list[Chart]:
    """Factors and spectra of every sweep; none where the study has no sweep."""
    made = []
    for place, names in enumerate(sweeps(results)):
        suffix = f"-{place + 1}" if place else ""
        made += [
            chart for chart in (_factors(results, names, suffix), _spectra(results, names, suffix)) if chart.panels
        ]
    return made


def _factors(results: Results, names: Sequence[str], suffix: str) -> Chart:
    """R^2 of each factor against the sweep, at each layer."""
    x = np.arange(1, len(names) + 1, dtype=np.float64)
    panels = []
    for layer in _layers(results, names):
        lines, references = [], []
        for place, factor in enumerate(results.images["factors"]):
            values, initial = (_scores(results, names, layer, factor, key) for key in ("r2", "initial"))
            lines.append(Line(factor, x, values, place, place))
            references.append(Line(factor, x, initial, place, place))
        if lines:
            panels.append(Panel(layer, "", lines, references))
    return Chart(
        f"sweep-factors{suffix}",
        "",
        "R2 of the factor",
        panels,
        "random initialisation",
        steps=False,
        ticks=tuple(names),
    )


def _spectra(results: Results, names: Sequence[str], suffix: str) -> Chart:
    """The spectrum at the end, at each layer, a line for each regime."""
    panels = []
    for layer in _layers(results, names):
        lines = [
            Line(name, *mean_spectrum(results.regimes[name], layer, -1), place, place)
            for place, name in enumerate(names)
            if layer in results.regimes[name][0].spectra
        ]
        if lines:
            panels.append(Panel(layer, "", lines, []))
    return Chart(f"sweep-spectra{suffix}", "index", "log10 eigenvalue", panels, steps=False, floor=DEEPEST)


def _layers(results: Results, names: Sequence[str]) -> list[str]:
    """Regimes that differ in their augmentation alone have the same layers."""
    return results.regimes[names[0]][0].layers


def _scores(results: Results, names: Iterable[str], layer: str, factor: str, key: str) -> Floats:
    """[seeds, regimes]; an R^2 below 0 says no more than 0."""
    found = [[_score(run, layer, factor, key) for run in results.regimes[name]] for name in names]
    return np.maximum(np.array(found, dtype=np.float64).T, 0.0)


def _score(run: Run, layer: str, factor: str, key: str) -> float:
    return float(run.diagnosis["factors"].get(layer, {}).get(factor, {}).get(key, np.nan))


def findings(results: Results) -> list[str]:
    """What fell along each sweep, in the order in which it fell, at each layer."""
    return [_told(results, names, layer) for names in sweeps(results) for layer in _layers(results, names)]


def _told(results: Results, names: Sequence[str], layer: str) -> str:
    fell: dict[str, list[str]] = {}
    kept, never = [], []
    for factor in results.images["factors"]:
        mean = _scores(results, names, layer, factor, "r2").mean(0)
        at = fallen(mean)
        if not mean[0] >= READABLE:
            never.append(factor)
        elif at is None:
            kept.append(factor)
        else:
            fell.setdefault(names[at], []).append(f"{factor} ({mean[0]:.2f} to {mean[-1]:.2f})")
    order = [f"{', '.join(fell[name])} from {name} on" for name in names if name in fell]
    words = [f"below half of it fell {'; '.join(order)}" if order else "none fell below half of it"]
    words += [f"{', '.join(kept)} stayed above"] if kept else []
    words += [f"{', '.join(never)} {'was' if len(never) == 1 else 'were'} hardly there to begin with"] if never else []
    return f"From {names[0]} to {names[-1]}, R2 of the factors at the {layer} against what it is at {names[0]}: {'; '.join(words)}."


def fallen(values: Floats) -> int | None:
    """The first place from which all values to the end lie below half of the first; None where the last one does not."""
    low = values < HALF * values[0]
    if not low[-1]:
        return None
    return int(len(low) - np.argmin(low[::-1])) if not low.all() else 0
