"""Charts drawn: small multiples with one legend, maps over training, the overview.

What text drawn as paths takes away, the data table under each figure gives back: text to select, search and read aloud.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import matplotlib
import matplotlib.cm
import matplotlib.colors
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from collapselab.report.chart import Chart, HeatMap, Line, Panel, thinned
from collapselab.report.inputs import Floats
from collapselab.report.svg import COLOURS, DASHES, INK, PAPER, STYLE, as_svg

WIDTH, PANEL_HEIGHT, COLUMNS = 10.4, 1.55, 4  # inches
LEFT, RIGHT, BOTTOM, ABOVE, BETWEEN = 0.62, 0.08, 0.42, 0.38, 0.26
SPAN, MAP_ROWS = 10.0, 24  # powers of ten that colours span, and rows of a heat map, at most
LEGEND_ROW, LEGEND_LETTERS = 0.2, 150  # inches a row, and letters that fit into one


@dataclass(frozen=True)
class Grid:
    """Where the panels stand, in inches."""

    columns: int
    rows: int
    legend: float

    @property
    def height(self) -> float:
        return self.legend + BOTTOM + self.rows * (PANEL_HEIGHT + ABOVE) + (self.rows - 1) * BETWEEN

    def rectangle(self, place: int) -> tuple[float, float, float, float]:
        """A panel's box as fractions of the figure, counted from the upper left."""
        wide = (WIDTH - RIGHT) / self.columns
        left = LEFT + place % self.columns * wide
        top = self.legend + ABOVE + place // self.columns * (PANEL_HEIGHT + ABOVE + BETWEEN)
        return left / WIDTH, 1 - (top + PANEL_HEIGHT) / self.height, (wide - LEFT) / WIDTH, PANEL_HEIGHT / self.height


def _across(letters: Sequence[int]) -> int:
    """How many columns of legend entries fit beside each other; a legend fills one column after the other."""
    for across in range(len(letters), 1, -1):
        rows = -(-len(letters) // across)
        if sum(max(letters[start : start + rows]) + 9 for start in range(0, len(letters), rows)) <= LEGEND_LETTERS:
            return across
    return 1


def draw(chart: Chart) -> bytes:
    """The chart's panels in a grid, with one legend for all."""
    handles = _legend(chart)
    across = _across([len(str(handle.get_label())) for handle in handles])
    columns = min(COLUMNS, len(chart.panels))
    grid = Grid(columns, -(-len(chart.panels) // columns), 0.1 + LEGEND_ROW * -(-len(handles) // across))
    limits = _limits(chart)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, grid.height))
        for place, panel in enumerate(chart.panels):
            axes = figure.add_axes(grid.rectangle(place))
            _panel(axes, chart, panel, limits[panel.group])
            left, bottom = place % columns == 0, place + columns >= len(chart.panels)
            axes.set_ylabel(chart.y_label if left else "")
            axes.set_xlabel(chart.x_label if bottom else "")
            if len(limits) == 1:  # all panels share their axes: numbers along the edges are enough
                axes.tick_params(labelleft=left, labelbottom=bottom)
        figure.legend(handles=handles, loc="upper left", ncols=across, frameon=False, borderaxespad=0.2, handlelength=3)
        return as_svg(figure)


def heat_maps(maps: Sequence[HeatMap]) -> bytes:
    """Spectra over training, one map beside the other on one colour scale; each snapshot is one column."""
    columns = min(COLUMNS, len(maps))
    grid = Grid(columns, -(-len(maps) // columns), 0.1 + 2 * LEGEND_ROW)
    low, high = min(float(m.values.min()) for m in maps), max(float(m.values.max()) for m in maps)
    norm = matplotlib.colors.Normalize(max(low, high - SPAN), high)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, grid.height))
        for place, heat in enumerate(maps):
            axes = figure.add_axes(grid.rectangle(place))
            _map(axes, heat, norm)
            axes.set_ylabel("index" if place % columns == 0 else "")
            axes.set_xlabel("step" if place + columns >= len(maps) else "")
        bar = figure.add_axes((LEFT / WIDTH, 1 - 0.16 / grid.height, 0.3, 0.1 / grid.height))
        colours = matplotlib.cm.ScalarMappable(norm, "viridis")
        figure.colorbar(colours, cax=bar, orientation="horizontal").set_label("log10 eigenvalue", labelpad=1)
        return as_svg(figure)


def _map(axes: Axes, heat: HeatMap, norm: matplotlib.colors.Normalize) -> None:
    """Rectangles, not pixels: an image inside an SVG would depend on the library that packs it."""
    count = len(heat.steps)
    rows = thinned(np.arange(1, len(heat.values) + 1, dtype=np.float64), log=False, most=MAP_ROWS)
    edges = np.array([*rows, len(heat.values)], dtype=np.float64) + 0.5
    axes.pcolormesh(
        np.arange(count + 1), edges, heat.values[rows], norm=norm, cmap="viridis", edgecolors="face", linewidth=0.3
    )
    shown = sorted({0, count - 1, *range(0, count, max(1, count // 5))})
    shown = [place for place in shown if place == count - 1 or count - 1 - place >= max(1, count // 6)]
    axes.set_xticks([place + 0.5 for place in shown], [f"{heat.steps[place]}" for place in shown])
    axes.set_ylim(len(heat.values) + 0.5, 0.5)
    axes.set_title(heat.title, loc="left", fontsize=8, fontweight="bold", pad=11, parse_math=False)
    colour = COLOURS[1] if heat.collapsed else INK
    axes.text(0, 1.035, heat.layer, transform=axes.transAxes, fontsize=7.5, color=colour, parse_math=False)
    axes.tick_params(length=2, pad=2)


def overview(rows: Sequence[tuple[str, str, float, list[float]]], pixels: float) -> bytes:
    """k-NN before and after training: rows of (regime, verdict, initial mean, final by seed), and raw pixels' level."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH * 0.75, 0.75 + 0.26 * len(rows)))
        axes = figure.add_axes((0.24, 0.46 / figure.get_figheight(), 0.6, 1 - 0.75 / figure.get_figheight()))
        for place, (_, verdict, initial, final) in enumerate(rows):
            colour = COLOURS[1] if verdict else COLOURS[0]
            mean = sum(final) / len(final)
            axes.plot(
                [initial, mean], [place, place], color=colour, linewidth=2, linestyle=DASHES[3] if verdict else "-"
            )
            axes.plot([initial], [place], "o", markersize=5, markerfacecolor=PAPER, markeredgecolor=colour)
            axes.plot(final, [place] * len(final), "|", color=colour, markersize=8)
            axes.plot([mean], [place], "o", color=colour, markersize=6)
            axes.text(
                1.02,
                place,
                verdict or "healthy",
                transform=axes.get_yaxis_transform(),
                color=colour,
                va="center",
                parse_math=False,
            )
        axes.axvline(pixels, color=INK, linewidth=0.8, linestyle=":")
        axes.text(pixels, -0.75, "raw pixels", ha="center", va="bottom")
        axes.set_yticks(range(len(rows)), [row[0] for row in rows], parse_math=False)
        axes.set(
            xlim=(0, 1),
            ylim=(len(rows) - 0.4, -0.7),
            xlabel="k-NN accuracy on test images: open ring at initialisation, dot after training",
        )
        axes.xaxis.set_major_formatter(FuncFormatter(_plain))
        axes.tick_params(length=2)
        return as_svg(figure)


def _panel(axes: Axes, chart: Chart, panel: Panel, limits: tuple[float, float, float, float]) -> None:
    for line in panel.references:
        axes.plot(line.x, _drawn(chart, line.mean), color=_colour(line.colour), linestyle=":", linewidth=1)
    for line in panel.baselines:
        axes.plot(line.x, _drawn(chart, line.mean), color=_colour(line.colour), linewidth=0.5)
    for line in panel.lines:
        if len(line.values) > 1:
            axes.plot(
                line.x,
                _drawn(chart, line.values).T,
                color=_colour(line.colour),
                alpha=0.35,
                linewidth=0.5,
            )
        axes.plot(
            line.x,
            _drawn(chart, line.mean),
            color=_colour(line.colour),
            linestyle=DASHES[line.dash % len(DASHES)],
            linewidth=1.2,
        )
    axes.set_title(panel.title, loc="left", fontsize=8, fontweight="bold", pad=11, parse_math=False)
    colour = INK if panel.calm or panel.note == "healthy" else COLOURS[1]
    axes.text(0, 1.035, panel.note, transform=axes.transAxes, fontsize=7.5, color=colour, parse_math=False)
    _scales(axes, chart, limits)


def _colour(place: int) -> str:
    return INK if place < 0 else COLOURS[place % len(COLOURS)]


def _scales(axes: Axes, chart: Chart, limits: tuple[float, float, float, float]) -> None:
    if chart.steps:
        axes.set_xscale("symlog", linthresh=1)
        axes.xaxis.set_major_locator(FixedLocator([0, *(10.0**power for power in range(8))]))
        axes.xaxis.set_minor_locator(NullLocator())
    if chart.scale == "log":
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(numticks=5))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set(xlim=limits[:2], ylim=limits[2:])
    axes.xaxis.set_major_formatter(FuncFormatter(_plain))
    if chart.ticks:
        axes.set_xticks(range(1, len(chart.ticks) + 1), chart.ticks, parse_math=False)
        axes.set_xlim(0.6, len(chart.ticks) + 0.4)  # room for the names at both ends
    axes.yaxis.set_major_formatter(FuncFormatter(_plain))
    axes.tick_params(length=2, pad=2)
    axes.grid(color=INK, alpha=0.12, linewidth=0.5)


def _plain(value: float, position: int | None) -> str:
    return (
        f"{value:g}".replace("-", "\N{MINUS SIGN}").replace("e+0", "e").replace("e\N{MINUS SIGN}0", "e\N{MINUS SIGN}")
    )


def _drawn(chart: Chart, values: Floats) -> Floats:
    return values if chart.floor is None else np.maximum(values, chart.floor)


def _limits(chart: Chart) -> dict[str, tuple[float, float, float, float]]:
    """Axes that hold every line of a group, with a little room."""
    return {
        group: _bounds(chart, [p for p in chart.panels if p.group == group])
        for group in {p.group for p in chart.panels}
    }


def _bounds(chart: Chart, panels: Iterable[Panel]) -> tuple[float, float, float, float]:
    lines: list[Line] = [line for panel in panels for line in (*panel.lines, *panel.references, *panel.baselines)]
    x = np.concatenate([line.x for line in lines])
    y = np.concatenate([_drawn(chart, line.values).ravel() for line in lines])
    y = y[np.isfinite(y)] if np.isfinite(y).any() else np.ones(1)
    low, high = float(y.min()), float(y.max())
    if chart.scale == "log":
        return float(x.min()), float(x.max()) * 1.05, low / 1.3, high * 1.3
    room = 0.06 * (high - low) or 0.5
    return float(x.min()), float(x.max()) * 1.05, low - room, high + room


def _legend(chart: Chart) -> list[Line2D]:
    """One entry for each colour and dash, naming all that it stands for; then what dotted lines are."""
    labels: dict[tuple[int, int], list[str]] = {}
    for panel in chart.panels:
        for line in panel.lines:
            labels.setdefault((line.colour, line.dash), []).append(line.label)
    handles = [
        Line2D(
            [],
            [],
            color=_colour(colour),
            linestyle=DASHES[dash % len(DASHES)],
            label=" / ".join(dict.fromkeys(names)),
        )
        for (colour, dash), names in sorted(labels.items())
    ]
    if chart.reference:
        handles.append(Line2D([], [], color=INK, linestyle=":", label=chart.reference))
    if chart.baseline:
        handles.append(Line2D([], [], color=INK, linewidth=0.5, label=chart.baseline))
    return handles
