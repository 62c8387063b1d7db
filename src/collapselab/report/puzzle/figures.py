"""The figures of how outputs are taken: one network's spectra by every way on shared axes, and one vector an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from collapselab.report.chart import Chart, Line, Panel
from collapselab.report.charts import SMALLEST
from collapselab.report.inputs import Floats
from collapselab.report.puzzle.onevector import OneVector
from collapselab.report.puzzle.taken import ALL, NOTEBOOK, PAPER, Index, Taken, Way

SHOWN = -9.0  # log10 of eigenvalues: those below are drawn at it, far below what any of these figures compares
START = "random initialisation"


@dataclass(frozen=True)
class View:
    """One panel: its title, what it differs in, the taking, and which spectrum of it."""

    title: str
    note: str
    way: Way
    spectrum: Callable[[Taken], Floats]


def _centred(taken: Taken) -> Floats:
    return taken.eigenvalues


def _own_axes(taken: Taken) -> Floats:
    return np.asarray(taken.eigenvalues / max(taken.eigenvalues[0], SMALLEST))


def _with_mean(taken: Taken) -> Floats:
    return taken.moments.uncentred_eigenvalues


VIEWS = (
    View("as the notebook drew it", "all tokens, train mode, over its largest", NOTEBOOK, _own_axes),
    View("on shared axes", "all tokens, train mode", NOTEBOOK, _centred),
    View("dropout off", "all tokens, eval mode", ALL, _centred),
    View("one position", "eval mode", ALL._replace(tokens="fixed"), _centred),
    View("one vector an image", "mean token, eval mode", PAPER, _centred),
    View("with the mean", "all tokens, eval mode, uncentred", ALL, _with_mean),
    View("probabilities", "all tokens, eval mode", ALL._replace(space="probabilities"), _centred),
    View("probabilities, an image", "mean token, eval mode", PAPER._replace(space="probabilities"), _centred),
)


def takings(index: Index) -> list[Chart]:
    """One figure for each network; none where no snapshot keeps tokens."""
    return [
        Chart(
            "takings" if not place else f"takings-{network}",
            "index",
            "log10 eigenvalue",
            [_panel(index, network, view) for view in VIEWS],
            f"{START}, mean over regimes and seeds",
            steps=False,
            floor=SHOWN,
        )
        for place, network in enumerate(index.networks)
        if index.regimes
    ]


def _panel(index: Index, network: str, view: View) -> Panel:
    lines = [
        Line(name, *_logs([view.spectrum(one) for one in index.get(name, network, view.way)]), place, place)
        for place, name in enumerate(index.regimes)
    ]
    starts = [view.spectrum(one) for name in index.regimes for one in index.get(name, network, view.way, end=False)]
    return Panel(view.title, view.note, lines, [Line("all", *_logs(starts), -1, 0)], calm=True)


def one_vector(vectors: Sequence[OneVector]) -> list[Chart]:
    """A panel a layer, networks with an embedding first; those of one kind share a panel."""
    panels = []
    embedded = list(dict.fromkeys(one.regime for one in vectors if one.layer == "embedding"))
    for place, name in enumerate(embedded):
        for layer in ("representation", "embedding"):
            panels.append(_vectors(f"{name}: {layer}", "", vectors, layer, {name: (-1, place)}))
    for layer in dict.fromkeys(one.layer for one in vectors if one.layer.startswith("student.")):
        names = dict.fromkeys(one.regime for one in vectors if one.layer == layer)
        looks = {name: (place, place) for place, name in enumerate(names)}
        panels.append(_vectors(f"tokens: {layer}", "mean token", vectors, layer, looks))
    if not panels:
        return []
    return [Chart("one-vector", "index", "log10 eigenvalue", panels, START, steps=False, floor=SHOWN)]


def _vectors(
    title: str, note: str, vectors: Sequence[OneVector], layer: str, looks: Mapping[str, tuple[int, int]]
) -> Panel:
    """`looks`: regime -> colour and dash."""

    def found(name: str, *, end: bool) -> list[Floats]:
        return [one.eigenvalues for one in vectors if (one.regime, one.layer, one.end) == (name, layer, end)]

    lines = [Line(name, *_logs(found(name, end=True)), *look) for name, look in looks.items()]
    starts = [values for name in looks for values in found(name, end=False)]
    return Panel(title, note, lines, [Line("all", *_logs(starts), -1, 0)], calm=True)


def _logs(spectra: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Index from 1, and log10 eigenvalues [seeds, d]."""
    values = np.log10(np.maximum(np.array(spectra), SMALLEST))
    return np.arange(1, values.shape[1] + 1, dtype=np.float64), values
