"""The toys' figures, in the report's style: the same bytes every time."""

from __future__ import annotations

from collections.abc import Iterable

import matplotlib
import matplotlib.colors
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from collapselab.report.svg import COLOURS, DASHES, INK, STYLE, as_svg
from collapselab.toys.experiments import AMPLITUDES, BLOCK, DEPTHS, DIM, SHOWN, TIMES, Strong, Toys, Trace
from collapselab.toys.infonce import Float

WIDTH, PANEL = 10.4, 2.3  # inches
INDEX = np.arange(1, DIM + 1)
TICKS = (1, 4, 8, 12, 16)
FLOOR = 1e-10  # over the largest eigenvalue: deep networks with ReLU have some that are 0, and a log axis has to end


def draw(toys: Toys) -> dict[str, bytes]:
    """name -> SVG, in reading order."""
    with matplotlib.rc_context(STYLE):
        return {
            "strong-augmentation": as_svg(_strong(toys.strong)),
            "transition": as_svg(_transition(toys.strong, toys.both)),
            "alignment": as_svg(_alignment(toys.weak)),
            "implicit-regularisation": as_svg(_evolution(toys.weak)),
            "depth": as_svg(_depth(toys.depth)),
            "catching-up": as_svg(_evolution(toys.stronger)),
        }


def _panels(count: int, height: float = PANEL, legend: float = 0.0, share: bool = True) -> tuple[Figure, list[Axes]]:
    """A row of equal panels; those that share their y axis have numbers at the left one only."""
    total = height + 0.75 + legend
    figure = Figure(figsize=(WIDTH, total))
    wide, left = (WIDTH - 0.15) / count, 0.62
    axes = [
        figure.add_axes((place * wide / WIDTH + left / WIDTH, 0.42 / total, (wide - left) / WIDTH, height / total))
        for place in range(count)
    ]
    for place, panel in enumerate(axes):
        panel.tick_params(length=2, pad=2, labelleft=not share or place == 0)
        panel.grid(color=INK, alpha=0.12, linewidth=0.5)
    return figure, axes


def _title(panel: Axes, text: str) -> None:
    panel.set_title(text, loc="left", fontsize=8, fontweight="bold", pad=5)


def _log(panel: Axes, low: float, high: float) -> None:
    panel.set_yscale("log")
    panel.yaxis.set_major_locator(LogLocator(numticks=7))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter(FuncFormatter(_power))
    panel.set_ylim(low / 1.5, high * 1.5)


def _power(value: float, position: int | None) -> str:
    text = f"{value:g}" if 0.01 <= value < 1e4 else f"1e{round(np.log10(value))}"
    return text.replace("-", "\N{MINUS SIGN}")


def _bounds(curves: Iterable[Float]) -> tuple[float, float]:
    values = np.concatenate([curve.ravel() for curve in curves])
    return float(values.min()), float(values.max())


def _strong(strong: Strong) -> Figure:
    """Singular values of W by index, a panel for each moment, a line for each k."""
    figure, panels = _panels(len(TIMES), legend=0.25)
    low, high = _bounds(strong.spectra[k, time] for k in SHOWN for time in TIMES)
    for panel, time in zip(panels, TIMES, strict=True):
        for place, k in enumerate(SHOWN):
            panel.plot(
                INDEX, strong.spectra[k, time], color=COLOURS[place], linestyle=DASHES[place],
                label=f"k = {k:g}", linewidth=1.3,
            )  # fmt: skip
        panel.axvline(DIM - BLOCK + 0.5, color=INK, linewidth=0.6, linestyle=":")
        _log(panel, low, high)
        _title(panel, f"time {time:g}" if time else "at the start, for every k")
        panel.set(xticks=TICKS, xlabel="index")
    panels[0].set_ylabel("singular value of W")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="upper left", ncols=6, frameon=False, handlelength=3)
    return figure


def _transition(one: Strong, both: Strong) -> Figure:
    """How far the eight smallest singular values moved, against k: one view augmented, and both."""
    figure, panels = _panels(2, height=2.6)
    found = (("augmentation in one view", one), ("augmentation in both views, half of it in each", both))
    bounds = _bounds([np.array([*one.least.values(), *both.least.values()])])
    for panel, (title, strong) in zip(panels, found, strict=True):
        for place, time in enumerate(TIMES[1:]):
            panel.plot(
                AMPLITUDES, [strong.least[k, time] for k in AMPLITUDES], color=COLOURS[place], linestyle=DASHES[place],
                marker="o", markersize=3, label=f"time {time:g}",
            )  # fmt: skip
        panel.axhline(1, color=INK, linewidth=0.8)
        panel.axvline(1, color=INK, linewidth=0.8, linestyle=":")
        _log(panel, *bounds)
        _title(panel, title)
        panel.text(AMPLITUDES[-1], 0.6, "as at the start", ha="right", va="top", visible=strong is both)
        panel.set_xlabel("k, variance of the augmentation (data: 1)")
    panels[0].set_ylabel("eight smallest, over their start")
    panels[0].legend(loc="lower left", frameon=False, handlelength=3)
    return figure


def _alignment(trace: Trace) -> Figure:
    """|V_2^T U_1| at the start and later."""
    figure, panels = _panels(len(trace.aligned), height=2.35, share=False)
    norm = matplotlib.colors.Normalize(0, 1)
    for panel, (time, matrix) in zip(panels, trace.aligned.items(), strict=True):
        edges = np.arange(DIM + 1) + 0.5
        mesh = panel.pcolormesh(edges, edges, matrix, norm=norm, cmap="viridis", edgecolors="face", linewidth=0.3)
        panel.set_ylim(DIM + 0.5, 0.5)
        panel.set_aspect("equal", anchor="W")
        panel.grid(visible=False)
        panel.set(xticks=TICKS, yticks=TICKS, xlabel="index of u in W1")
        _title(panel, f"time {time:g}" if time else "at the start")
    panels[0].set_ylabel("index of v in W2")
    panels[-1].apply_aspect()  # only then the panel's box is the square that is drawn
    left, low, width, high = panels[-1].get_position().bounds
    bar = figure.add_axes((left + width + 0.01, low, 0.012, high))
    figure.colorbar(mesh, cax=bar)
    bar.set_title("|V2$^T$ U1|", fontsize=8, pad=5)
    return figure


def _evolution(trace: Trace) -> Figure:
    """Every singular value over time, of both layers and of their product, and every eigenvalue of the embeddings' covariance."""
    found = {
        "singular values of W1": trace.first,
        "singular values of W2": trace.second,
        "singular values of W2 W1": trace.whole,
        "eigenvalues of covariance": trace.embedding,
    }
    figure, panels = _panels(len(found), legend=0.25, share=False)
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, DIM))
    names = {0: "largest", DIM - 1: "smallest"} | {tick - 1: f"{tick}th" for tick in TICKS[1:-1]}
    for panel, (title, values) in zip(panels, found.items(), strict=True):
        for place in range(DIM):
            panel.plot(trace.times, values[:, place], color=colours[place], linewidth=1, label=names.get(place, "_"))
        _log(panel, *_bounds([values]))
        _title(panel, title)
        panel.set_xlabel("time")
        panel.set_xlim(0, float(trace.times[-1]))
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="upper left", ncols=len(names), frameon=False, handlelength=3
    )
    return figure


def _depth(found: dict[tuple[int, bool], Float]) -> Figure:
    """Eigenvalues of the embeddings' covariance by index, linear beside ReLU, a line for each depth; one layer in both."""
    figure, panels = _panels(2, legend=0.25)
    for panel, relu in zip(panels, (False, True), strict=True):
        for place, layers in enumerate(DEPTHS):
            seeds = found.get((layers, relu), found[layers, False]).clip(FLOOR)
            label = f"{layers} layer{'s' if layers > 1 else ''}"
            panel.plot(INDEX, seeds.T, color=COLOURS[place], alpha=0.35, linewidth=0.5)
            mean = np.exp(np.log(seeds).mean(0))
            panel.plot(INDEX, mean, color=COLOURS[place], linestyle=DASHES[place], linewidth=1.3, label=label)
        _log(panel, FLOOR, 1.0)
        _title(panel, "ReLU between the layers" if relu else "linear")
        panel.text(1, 1.5 * FLOOR, f"what is below {_power(FLOOR, None)} is drawn there", va="bottom")
        panel.set(xticks=TICKS, xlabel="index")
    panels[0].set_ylabel("eigenvalue over the largest")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="upper left", ncols=4, frameon=False, handlelength=3)
    return figure
