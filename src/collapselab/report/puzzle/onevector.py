"""Figure 2 of the DirectCLR paper (Jing et al. 2022, arXiv 2110.09348): spectra of one normalised vector an image, eval mode.

Test images of `features-initial` and `features-final`: as many as a study has, where a snapshot's probe is small.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from collapselab.collapse.statistics.moments import Float, Moments, entropy_rank
from collapselab.collapse.statistics.spectrum import NOTABLE, Spectrum
from collapselab.files import Arrays, load_arrays
from collapselab.report.puzzle.taken import asked
from collapselab.runs import MOMENTS, layers
from collapselab.runs import Run as Cell
from collapselab.runs import runs as cells


@dataclass(frozen=True)
class OneVector:
    """The spectrum of one layer of one run at one end of it.

    Attributes:
        end: after training; otherwise at initialisation.
        eigenvalues: of the covariance of the normalised vectors, descending, [d].
        live: directions before the steepest drop; drops: whether there is one, as the metric `live_directions` has it.
        ceiling: the highest rank that so many vectors can have.
    """

    regime: str
    seed: int
    layer: str
    end: bool
    eigenvalues: Float
    effective_rank: float
    live: int
    drops: bool
    ceiling: int

    @classmethod
    def of(cls, cell: Cell, layer: str, vectors: Any, *, end: bool) -> OneVector:
        moments = Moments.of(vectors, unit=True)
        values = moments.eigenvalues[: moments.ceiling]
        spectrum = Spectrum.of(values, images=len(vectors))
        rank = entropy_rank(np.sqrt(values)) if values.any() else math.nan
        drops = spectrum.drop >= NOTABLE
        return cls(
            cell.regime,
            cell.seed,
            layer,
            end,
            moments.eigenvalues,
            rank,
            spectrum.alive,
            drops,
            moments.ceiling,
        )


def one_vector_spectra(params: dict[str, Any], root: Path = Path()) -> list[OneVector]:
    """Every evaluated layer of every run, at both ends; empty where the study's snapshots keep no tokens."""
    if not asked(params):
        return []
    return [one for cell in cells(params, root) for one in _of_cell(cell)]


def inputs(params: dict[str, Any], root: Path = Path()) -> list[Path]:
    if not asked(params):
        return []
    return [cell.folder / f"features-{moment}.safetensors" for cell in cells(params, root) for moment in MOMENTS]


def _of_cell(cell: Cell) -> Iterator[OneVector]:
    for moment in MOMENTS:
        features: Arrays = load_arrays(cell.folder / f"features-{moment}.safetensors")
        for layer in layers(features):
            yield OneVector.of(cell, layer, features[f"test/{layer}"], end=moment == "final")
