"""The spectra as an SVG: log eigenvalues on one absolute scale, with what they are to be read against drawn in."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.statistics.moments import Float
from collapselab.diagnose.baselines import shuffled
from collapselab.diagnose.examine import Outcome
from collapselab.report.svg import COLOURS, DASHES, INK, STYLE, as_svg

DEEPEST = 1e-16  # of the largest eigenvalue: below it lies rounding noise only
WIDTH, HEIGHT, LEGEND, EDGES = 4.9, 2.7, 0.5, (0.62, 0.42)  # inches: a panel, the legend, left and below a panel


@dataclass(frozen=True)
class Curve:
    """Eigenvalues in descending order, how they are called, and the place in the palette."""

    label: str
    eigenvalues: Float
    place: int


def spectra(outcome: Outcome) -> bytes:
    """One panel a layer, axes shared; the same bytes for the same outcome."""
    panels = {layer: curves(outcome, layer) for layer in outcome.layers}
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    # One layer gets the width of two: there is nothing beside it.
    size = (2 * WIDTH if columns == 2 else 1.5 * WIDTH, LEGEND + rows * (HEIGHT + EDGES[1] + 0.25))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size)
        for place, (layer, drawn) in enumerate(panels.items()):
            axes = figure.add_axes(_box(place, columns, size))
            _panel(axes, layer, drawn, outcome.baselines[layer]["ceiling"], outcome.diagnosis.verdicts[layer])
        _share(figure.axes, [curve for drawn in panels.values() for curve in drawn])
        figure.legend(handles=_legend(figure.axes), loc="upper left", ncols=3, frameon=False, handlelength=3)
        return as_svg(figure)


def curves(outcome: Outcome, layer: str) -> list[Curve]:
    """The layer's spectrum, then what it is read against: fewest correlations, no structure at all, start, reference."""
    evidence = outcome.subject.snapshot.layers[layer]
    own = _attainable(evidence)
    drawn = [
        Curve("here", own, 0),
        Curve("each column shuffled over images", shuffled(evidence), 1),
        Curve("isotropic, same variance, up to min(N - 1, d)", np.full(len(own), own.sum() / max(1, len(own))), 2),
    ]
    start, reference = outcome.subject.start, outcome.reference
    if start and layer in start.layers:
        drawn.append(Curve("at initialisation", _attainable(start.layers[layer]), 3))
    if reference:
        layers = reference.snapshot.layers
        single = len(layers) == len(outcome.layers) == 1
        other = next(iter(layers.values())) if single else layers.get(layer)
        if other is not None:
            drawn.append(Curve("reference", _attainable(other), 4))
    return drawn


def _attainable(evidence: Evidence) -> Float:
    return np.asarray(evidence.moments.eigenvalues[: evidence.moments.ceiling])


def _box(place: int, columns: int, size: tuple[float, float]) -> tuple[float, float, float, float]:
    wide = size[0] / columns
    left = place % columns * wide + EDGES[0]
    top = LEGEND + place // columns * (HEIGHT + EDGES[1] + 0.25) + 0.25
    return left / size[0], 1 - (top + HEIGHT) / size[1], (wide - EDGES[0] - 0.1) / size[0], HEIGHT / size[1]


def _panel(axes: Axes, layer: str, drawn: list[Curve], ceiling: int, held: list[str]) -> None:
    for curve in reversed(drawn):
        index = np.arange(1, len(curve.eigenvalues) + 1)
        axes.plot(
            index,
            np.maximum(curve.eigenvalues, 1e-300),
            color=COLOURS[curve.place],
            linestyle=DASHES[curve.place],
            linewidth=1.8 if curve.place == 0 else 1.1,
            label=curve.label,
            marker="o" if len(index) == 1 else "",
        )
    axes.axvline(ceiling, color=INK, linewidth=0.8, linestyle=":", label="ceiling, min(N - 1, d)")
    axes.set_title(layer, loc="left", fontsize=9, fontweight="bold", parse_math=False)
    state = ", ".join(held) or "healthy"
    axes.set_title(state, loc="right", fontsize=8, color=COLOURS[1] if held else INK, parse_math=False)
    axes.set(xlabel="eigenvalue, by size", ylabel="variance along it")


def _share(panels: list[Axes], drawn: list[Curve]) -> None:
    """One absolute scale for all: a fall of a whole spectrum must not be hidden."""
    high = max((float(curve.eigenvalues.max()) for curve in drawn if len(curve.eigenvalues)), default=1.0) or 1.0
    seen = np.concatenate([curve.eigenvalues for curve in drawn])
    seen = seen[seen > DEEPEST * high]
    low = float(seen.min()) if len(seen) else high
    longest = max(len(curve.eigenvalues) for curve in drawn)
    for axes in panels:
        axes.set(yscale="log", xlim=(0, longest * 1.03 + 1), ylim=(low / 3, high * 3))
        axes.yaxis.set_major_locator(LogLocator(numticks=6))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.tick_params(length=2, pad=2)
        axes.grid(color=INK, alpha=0.12, linewidth=0.5)


def _legend(panels: list[Axes]) -> list[Line2D]:
    """One entry a label, in the order of the palette: lines were drawn the other way round, what is here on top."""
    lines = [line for axes in panels for line in axes.get_lines()]
    first = {str(line.get_label()): line for line in reversed(lines)}
    order = {colour: place for place, colour in enumerate(COLOURS)}
    return sorted(first.values(), key=lambda line: order.get(str(line.get_color()), len(order)))
