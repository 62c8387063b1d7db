"""Which directions of a spectrum carry anything: against rounding, and against a drop in the spectrum itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapselab.collapse.statistics.moments import entropy_rank

STEEPEST = 3.0  # no healthy network measured falls off faster than lambda_i ~ i^-2.7
WINDOW = 0.05  # of the directions: over how many a drop may stretch
# The same for MANY directions and at least WELL_SAMPLED times as many images: with fewer, chance alone bends a spectrum as far.
WIDE_WINDOW, WELL_SAMPLED, MANY = 0.25, 4, 32
LEAST = 0.1  # of the directions: how many must lie behind a drop
NOTABLE = np.log(5.0)  # a smaller fall is none: spectra of samples are never smooth


@dataclass(frozen=True)
class Spectrum:
    """A covariance spectrum cut at its rounding floor and at its steepest drop.

    Attributes:
        eigenvalues: descending, the attainable ones only (as many as the ceiling), [c].
        resolved: how many stand clear of rounding.
        alive: how many stand before a notable drop; equal to `resolved` where there is none.
        tail: share of the variance that lies behind `alive`.
        drop: how far the eigenvalues fall at their steepest, natural log, beyond what the steepest healthy power law falls.
    """

    eigenvalues: NDArray[np.float64]
    resolved: int
    alive: int
    tail: float
    drop: float

    @classmethod
    def of(cls, eigenvalues: NDArray[Any], rounding: float = 0.0, images: int = 0) -> Spectrum:
        """Of attainable eigenvalues, descending; those below `rounding` carry nothing but the rounding of the floats.

        `images`: how many different vectors they were taken from, 0 if unknown.
        """
        values = np.asarray(eigenvalues, dtype=np.float64)
        # A covariance formed in float64 can't resolve more than this.
        floor = max(rounding, 1e-14 * values[0]) if len(values) else 0.0
        resolved = int((values > floor).sum())
        wide = images >= WELL_SAMPLED * len(values) and len(values) >= MANY
        window = WIDE_WINDOW if wide else WINDOW
        place, drop = _steepest(values[:resolved], len(values), window)
        place = place if drop >= NOTABLE else resolved
        total = float(values.sum())
        tail = float(values[place:].sum() / total) if total > 0 else 0.0
        return cls(values, resolved, place, tail, drop)


def _steepest(values: NDArray[np.float64], directions: int, window: float) -> tuple[int, float]:
    """(place, fall): after how many eigenvalues the log spectrum falls most, less what a power law of STEEPEST falls.

    A fall that leaves less than LEAST of the directions behind is none: where images are hardly more than dimensions, the
    smallest eigenvalues of any sample dive (Marchenko and Pastur 1967).
    """
    count, logs = len(values), np.log(values)
    place, most, width = count, 0.0, 1
    while width <= max(1, round(window * directions)):
        before = np.arange(1, min(count - width, round((1 - LEAST) * directions)) + 1)  # the last before it, from 1
        if len(before) == 0:
            break
        fall = logs[before - 1] - logs[before + width - 1] - STEEPEST * np.log1p(width / before)
        best = int(fall.argmax())
        if fall[best] > most:
            # The window says that there is a drop; the largest single step in it says where.
            steps = logs[best : best + width] - logs[best + 1 : best + width + 1]
            place, most = int(best + 1 + steps.argmax()), float(fall[best])
        width *= 2
    return place, most


def rank_ratio(spectrum: Spectrum) -> float | None:
    """Effective rank of a spectrum over that of lambda_i = i^-STEEPEST with as many directions; None for no direction."""
    count = len(spectrum.eigenvalues)
    if count == 0 or spectrum.eigenvalues[0] == 0:
        return None
    own = entropy_rank(np.sqrt(spectrum.eigenvalues))
    return own / entropy_rank(np.sqrt(power_law(STEEPEST, count)))


def power_law(alpha: float, directions: int) -> NDArray[np.float64]:
    """Eigenvalues i^-alpha, i = 1 .. directions."""
    return np.asarray(np.arange(1, directions + 1, dtype=np.float64) ** -alpha)
