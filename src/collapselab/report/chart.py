"""What a figure is: lines in panels, or a map; `charts` says which there are, `figures` draws them, `tables` writes them out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from collapselab.report.inputs import Floats

POINTS = 100  # of a curve that is drawn or written, at most


@dataclass(frozen=True)
class Line:
    """One curve over steps or eigenvalue indices; `values` [seeds, len(x)]; colour and dash are palette places."""

    label: str
    x: Floats
    values: Floats
    colour: int
    dash: int

    @property
    def mean(self) -> Floats:
        """Over the seeds for which the value is defined."""
        defined = np.isfinite(self.values)
        total = np.where(defined, self.values, 0.0).sum(0)
        return np.where(defined.any(0), total / np.maximum(defined.sum(0), 1), np.nan)


@dataclass(frozen=True)
class Panel:
    """One small plot; panels of a group share their axes.

    References are drawn dotted and baselines thin, in their line's colour; a colour of -1 is the ink. The note is a verdict,
    and drawn as one, except where the panel is `calm`.
    """

    title: str
    note: str
    lines: list[Line]
    references: list[Line]
    group: str = ""
    baselines: list[Line] = field(default_factory=list)
    calm: bool = False


@dataclass(frozen=True)
class Chart:
    """A figure of small multiples; its title and caption stand in `captions.CAPTIONS`, under its name.

    Attributes:
        reference, baseline: what the dotted and the thin lines are.
        steps: whether x is training steps; otherwise eigenvalue indices.
        floor: values below it are drawn at it.
        ticks: names of x = 1, 2, ... where x is neither steps nor an index.
    """

    name: str
    x_label: str
    y_label: str
    panels: list[Panel]
    reference: str = ""
    baseline: str = ""
    scale: Literal["linear", "log"] = "linear"
    steps: bool = True
    floor: float | None = None
    ticks: tuple[str, ...] = ()


@dataclass(frozen=True)
class HeatMap:
    """A spectrum over training: log10 eigenvalues [index, steps], of the first seed."""

    title: str
    layer: str
    collapsed: bool
    steps: list[int]
    values: Floats


def thinned(x: Floats, *, log: bool = True, most: int = POINTS) -> list[int]:
    """At most `most` places of an ascending x from 1, spread evenly over log x or x; the first and the last stay."""
    if len(x) <= most:
        return list(range(len(x)))
    wanted = (np.geomspace if log else np.linspace)(x[0], x[-1], most)
    return sorted({0, *(int(place) for place in np.searchsorted(x, wanted).clip(0, len(x) - 1))})
