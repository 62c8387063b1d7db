"""Outputs of a token network, taken in every way that its snapshots hold: what each way's spectrum says, in numbers.

Only studies with `training.snapshots.tokens` have them, at a run's first and last snapshot.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collapselab.collapse.statistics.moments import Float, Moments, entropy_rank
from collapselab.collapse.statistics.rounding import floor
from collapselab.collapse.statistics.softmax import entropies, entropy, finite_mean, marginal
from collapselab.files import Arrays, load_about, load_arrays
from collapselab.runs import Run as Cell
from collapselab.runs import runs as cells

LOGITS = "logits"  # the layer that a softmax turns into probabilities: `student.logits`, `teacher.logits`
FLOAT32 = float(np.finfo(np.float32).eps)
FLOOR = -12.0  # log10 of eigenvalues: those below count as this; in eval mode float32 leaves nothing but rounding there


class Way(NamedTuple):
    """How outputs are taken.

    Attributes:
        mode: eval, or train (dropout on).
        view: clean, or drawn (through the student's augmentation).
        tokens: pooled (all of them), within (all, each less the mean of its position over images), fixed (those at one position),
            or mean (over an image's tokens: one vector an image).
        space: logits, or probabilities (their softmax, as the loss takes it).
    """

    mode: str
    view: str
    tokens: str
    space: str


# The founding notebook's way: nothing switched its networks to eval mode. The same in eval mode. The paper's: one vector an image.
NOTEBOOK = Way("train", "clean", "pooled", "logits")
ALL = Way("eval", "clean", "pooled", "logits")
PAPER = Way("eval", "clean", "mean", "logits")


@dataclass(frozen=True)
class Taken:
    """One network of one run at one end of it, taken one way.

    Attributes:
        network: student or teacher. step: 0, or the run's last.
        moments: of the vectors.
        resolved: whether they differ by more than the rounding of float32.
        entropy: E h(p) of the vectors' probabilities, and marginal_entropy: h(mean p); nats.
    """

    regime: str
    seed: int
    network: str
    step: int
    way: Way
    moments: Moments
    resolved: bool
    entropy: float
    marginal_entropy: float

    @property
    def eigenvalues(self) -> Float:
        """Of the covariance, descending, [d]."""
        return self.moments.eigenvalues

    @property
    def effective_rank(self) -> float:
        """As the metric of that name: from singular values; NaN where the spread is rounding."""
        return self._rank(np.sqrt(self._attainable))

    @property
    def spectral_entropy_rank(self) -> float:
        """As the metric of that name: from eigenvalues; NaN where the spread is rounding."""
        return self._rank(self._attainable)

    @property
    def mean_share(self) -> float:
        """As the metric of that name; NaN where the mean was taken off position by position."""
        offset = float(self.moments.mean @ self.moments.mean)
        return math.nan if self.way.tokens == "within" else offset / (offset + self.moments.trace)

    @property
    def _attainable(self) -> Float:
        return self.eigenvalues[: self.moments.ceiling]

    def _rank(self, weights: Float) -> float:
        return entropy_rank(weights) if self.resolved else math.nan


def ends(cell: Cell) -> list[Path]:
    """The first and the last snapshot."""
    paths = cell.snapshots()
    return [paths[0], paths[-1]]


def asked(params: Mapping[str, Any]) -> bool:
    """Whether the study's snapshots keep what is read here."""
    return bool(params.get("training", {}).get("snapshots", {}).get("tokens"))


def inputs(params: dict[str, Any], root: Path = Path()) -> list[Path]:
    """The files that `take` reads."""
    return [path for cell in cells(params, root) for path in ends(cell)] if asked(params) else []


def take(params: dict[str, Any], root: Path = Path()) -> list[Taken]:
    """Every way of every token network of the study, in the order of its params; empty where it keeps none."""
    if not asked(params):
        return []
    return [
        taken
        for cell in cells(params, root)
        for path in ends(cell)
        for taken in _of_snapshot(cell, int(load_about(path)["step"]), load_arrays(path))
    ]


def _of_snapshot(cell: Cell, step: int, arrays: Arrays) -> Iterator[Taken]:
    for key in sorted(arrays):
        mode, view, token, layer = (key.split("/", 3) + [""] * 4)[:4]
        network, _, name = layer.partition(".")
        if token != "probability-moment" or name != LOGITS:
            continue

        def seen(token: str, under: str = f"{mode}/{view}", of: str = layer) -> NDArray[Any]:
            return arrays[f"{under}/{token}/{of}"]

        p, at_place = seen("probability"), seen("probability-fixed")
        certain = finite_mean(seen("entropy"))
        softmax = {
            "pooled": (certain, _marginal(p)),
            "within": (certain, _marginal(p)),
            "fixed": (float(entropies(at_place).mean()), _marginal(at_place)),
            "mean": (float(entropies(p).mean()), _marginal(p)),
        }
        count = len(p) * len(seen("position"))
        spaces = {
            "logits": _moments(count, seen("moment"), seen("position"), seen("fixed"), seen("image")),
            "probabilities": _moments(count, seen("probability-moment"), seen("probability-position"), at_place, p),
        }
        for space, found in spaces.items():
            for tokens, moments in found.items():
                yield Taken(
                    cell.regime,
                    cell.seed,
                    network,
                    step,
                    Way(mode, view, tokens, space),
                    moments,
                    resolved(moments),
                    *softmax[tokens],
                )


def _moments(
    count: int, second: NDArray[Any], position: NDArray[Any], fixed: NDArray[Any], image: NDArray[Any]
) -> dict[str, Moments]:
    """By `Way.tokens`; position [T, d], fixed and image [N, d]."""
    position = np.asarray(position, dtype=np.float64)
    around = second - position.T @ position / len(position)
    np.fill_diagonal(around, around.diagonal().clip(min=0))  # variances; what is below 0 is rounding
    pooled = Moments.of_uncentred(count, position.mean(0), second)
    within = Moments.of_uncentred(count, np.zeros(len(second)), around)
    return {
        "pooled": pooled,
        "within": replace(within, absolute=pooled.absolute),  # rounding is that of the vectors as they were
        "fixed": Moments.of(fixed),
        "mean": Moments.of(image),
    }


def resolved(moments: Moments) -> bool:
    """Whether the root mean square standard deviation stands clear of float32's rounding, as `Evidence.resolved` has it."""
    spread = math.sqrt(max(0.0, moments.trace) / len(moments.mean))
    return spread > 0 and spread >= floor(moments.absolute, FLOAT32)


def _marginal(probabilities: NDArray[Any]) -> float:
    return float(entropy(marginal(probabilities)))


class Index:
    """Taken outputs by what they are; seeds stay together, in their order."""

    def __init__(self, taken: Iterable[Taken]) -> None:
        self._found: dict[tuple[str, str, bool, Way], dict[int, Taken]] = {}
        for one in taken:
            key = (one.regime, one.network, one.step > 0, one.way)
            self._found.setdefault(key, {})[one.seed] = one

    @property
    def regimes(self) -> list[str]:
        return list(dict.fromkeys(key[0] for key in self._found))

    @property
    def networks(self) -> list[str]:
        """The one that is trained first."""
        return sorted({key[1] for key in self._found})

    def get(self, regime: str, network: str, way: Way, *, end: bool = True) -> list[Taken]:
        """One a seed, at the end of training or at initialisation."""
        return list(self._found[regime, network, end, way].values())
