"""How well recorded factors can be read from features: R^2 on images never seen, by the better of two decoders.

Ridge regression, or the mean of the nearest neighbours where a factor is coded non-linearly; which of the two, and how
regularised, is chosen on a part of the training images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapselab.randomness import generator

Float = NDArray[np.float64]

HELD_OUT = 5  # one part in five of the training images chooses the decoder
PENALTIES = tuple(10.0**power for power in range(-5, 2))  # of ridge regression, an image; features have variance 1
NEIGHBOURS = (5, 20)
FAR = 10.0  # standard deviations: features are cut off there
MOST = 256  # dimensions that are decoded from: more are reduced to their leading principal components
# Which original an image was drawn from: test originals are never trained on, so it can't be decoded.
IDENTITY = "original"
CLASS = "class"
# Factors on a circle, by their period; others are lines. An angle is one only where images are turned all the way round.
PERIODS = {"hue": 1.0, "stroke_hue": 1.0, "background_hue": 1.0, "angle": 360.0}


@dataclass(frozen=True)
class Decoded:
    """How well one factor is read from features.

    Attributes:
        r2: on the test images, by the decoder that the held-out training images chose.
        by: "ridge" or "neighbours".
        ridge, neighbours: R^2 of either.
        errors: squared error of each test image, [M].
    """

    r2: float
    by: str
    ridge: float
    neighbours: float
    errors: Float


@dataclass(frozen=True)
class Targets:
    """Factors as columns to regress on: a circular one as cosine and sine, a class as one column for each of its names.

    `columns`: factor -> its columns of `train` [N, c] and `test` [M, c]; `groups`, `test_groups`: images of one original.
    """

    columns: dict[str, slice]
    train: Float
    test: Float
    groups: NDArray[Any]
    test_groups: NDArray[Any]

    @classmethod
    def of(
        cls,
        train: Mapping[str, NDArray[Any]],
        test: Mapping[str, NDArray[Any]],
        train_labels: NDArray[Any],
        test_labels: NDArray[Any],
    ) -> Targets:
        """Of `Split.factors` and labels, rows in the order of the splits. Factors that don't vary are left out."""
        columns: dict[str, slice] = {}
        # Nothing to start with: without labels and factors there may be nothing to decode.
        parts = [(np.empty((len(train_labels), 0)), np.empty((len(test_labels), 0)))]
        for name in [*train, CLASS]:
            own, asked = (train_labels, test_labels) if name == CLASS else (train[name], test[name])
            if name == IDENTITY or len(np.unique(own)) < 2:
                continue
            part = _encode(name, own, own), _encode(name, asked, own)
            at = sum(encoded.shape[1] for encoded, _ in parts)
            columns[name] = slice(at, at + part[0].shape[1])
            parts.append(part)
        return cls(
            columns,
            np.concatenate([own for own, _ in parts], 1),
            np.concatenate([asked for _, asked in parts], 1),
            np.asarray(train.get(IDENTITY, np.arange(len(train_labels)))),
            np.asarray(test.get(IDENTITY, np.arange(len(test_labels)))),
        )


def _encode(name: str, values: NDArray[Any], train: NDArray[Any]) -> Float:
    if name == CLASS:
        return np.asarray(values[:, None] == np.unique(train), dtype=np.float64)
    line = np.asarray(values, dtype=np.float64)[:, None]
    period = PERIODS.get(name)
    # Values that fill less than five sixths of the circle have ends that lie apart.
    if period is None or np.ptp(train) < period * 5 / 6:
        return line
    turn = 2 * math.pi * line / period
    return np.concatenate([np.cos(turn), np.sin(turn)], 1)


def decode(train: NDArray[Any], test: NDArray[Any], targets: Targets) -> dict[str, Decoded]:
    """Every factor from features of the training images [N, d] and the test images [M, d].

    Dimensions that vary by less than rounding are left out; where none is left every R^2 is 0.
    """
    x, asked = _standardised(train, test)
    rows = _held_out(targets.groups)
    y, truth = targets.train, targets.test
    ridge, ridge_held = _ridge(x, y, asked, rows, targets.columns)
    near, near_held = _near(x, y, asked, rows, targets.columns)
    found = {}
    for name, at in targets.columns.items():
        by = "ridge" if ridge_held[name] <= near_held[name] else "neighbours"
        errors = {"ridge": _squares(truth, ridge, at), "neighbours": _squares(truth, near, at)}
        scores = {how: _r2(error, spread(truth, at)) for how, error in errors.items()}
        found[name] = Decoded(scores[by], by, scores["ridge"], scores["neighbours"], errors[by])
    return found


def _squares(truth: Float, predicted: Float, at: slice) -> Float:
    return np.asarray(((truth[:, at] - predicted[:, at]) ** 2).sum(1))


def spread(truth: Float, at: slice) -> Float:
    return np.asarray(((truth[:, at] - truth[:, at].mean(0)) ** 2).sum(1))


def _r2(errors: Float, spread: Float) -> float:
    return float(1 - errors.sum() / spread.sum())


def _standardised(train: NDArray[Any], test: NDArray[Any]) -> tuple[Float, Float]:
    x, asked = np.asarray(train, dtype=np.float64), np.asarray(test, dtype=np.float64)
    mean, std = x.mean(0), x.std(0)
    alive = std > 4 * float(np.finfo(np.float32).eps) * np.maximum(np.abs(x).mean(0), 1e-30)
    # A few images thrown far out (batch norm does so in a collapse) would make every prediction of theirs explode.
    x, asked = (((z[:, alive] - mean[alive]) / std[alive]).clip(-FAR, FAR) for z in (x, asked))
    if x.shape[1] <= MOST:
        return x, asked
    basis = _leading(x.astype(np.float32))
    return x @ basis, asked @ basis


def _leading(x: NDArray[np.float32]) -> Float:
    """The MOST leading principal directions [d, MOST], by a randomised range finder (Halko et al. 2011, algorithm 4.4)."""
    basis = generator(0, "decoding/range").standard_normal((x.shape[1], MOST), dtype=np.float32)
    for _ in range(2):
        basis = np.linalg.qr(x.T @ (x @ basis))[0]
    return np.asarray(basis, dtype=np.float64)


def _held_out(groups: NDArray[Any]) -> NDArray[np.bool_]:
    """Which training images choose the decoder: whole groups, since images of one original are alike."""
    names, ids = np.unique(groups, return_inverse=True)
    chosen = generator(0, "decoding/held-out").permutation(len(names)) % HELD_OUT == 0
    return np.asarray(chosen[ids])


def _ridge(
    x: Float, y: Float, asked: Float, held: NDArray[np.bool_], columns: Mapping[str, slice]
) -> tuple[Float, dict[str, float]]:
    """Predictions [M, c], each factor with the penalty that served it best on the held-out images; its squared error there."""
    trials = list(_solutions(x[~held], y[~held], x[held]))
    errors = {name: [float(_squares(y[held], trial, at).sum()) for trial in trials] for name, at in columns.items()}
    answers = list(_solutions(x, y, asked))
    best = {name: int(np.argmin(found)) for name, found in errors.items()}
    predicted = np.concatenate([answers[best[name]][:, at] for name, at in columns.items()], 1)
    return predicted, {name: min(found) for name, found in errors.items()}


def _solutions(x: Float, y: Float, asked: Float) -> Iterator[Float]:
    """Ridge regression in closed form, (X'X + n penalty I)^-1 X'Y, for each of PENALTIES: predictions [M, c]."""
    mean_x, mean_y = x.mean(0), y.mean(0)
    x, asked = x - mean_x, asked - mean_x
    values, vectors = np.linalg.eigh(x.T @ x)
    projected, rotated = vectors.T @ (x.T @ (y - mean_y)), asked @ vectors
    for penalty in PENALTIES:
        answer = rotated @ (projected / (values.clip(min=0) + len(x) * penalty)[:, None]) + mean_y
        yield answer.clip(y.min(0), y.max(0))  # no factor lies beyond what was seen of it


def _near(
    x: Float, y: Float, asked: Float, held: NDArray[np.bool_], columns: Mapping[str, slice]
) -> tuple[Float, dict[str, float]]:
    """The same by the mean of the nearest training images, of as many as served each factor best."""
    trials = _neighbours(x[~held], y[~held], x[held])
    errors = {name: [float(_squares(y[held], trial, at).sum()) for trial in trials] for name, at in columns.items()}
    answers = _neighbours(x, y, asked)
    predicted = np.concatenate([answers[int(np.argmin(errors[name]))][:, at] for name, at in columns.items()], 1)
    return predicted, {name: min(found) for name, found in errors.items()}


def _neighbours(x: Float, y: Float, asked: Float) -> list[Float]:
    """Means over each of NEIGHBOURS nearest by Euclidean distance, ties in any order: predictions [M, c]."""
    if x.shape[1] == 0:
        return [np.repeat(y.mean(0, keepdims=True), len(asked), 0) for _ in NEIGHBOURS]
    most = min(max(NEIGHBOURS), len(x))
    found: list[list[Float]] = [[] for _ in NEIGHBOURS]
    bank = x.astype(np.float32)
    half = (bank**2).sum(1) / 2
    for block in np.array_split(asked.astype(np.float32), -(-len(asked) // 512)):
        distance = half - block @ bank.T  # half the squared distance, less a constant of the query
        near = np.argpartition(distance, most - 1, axis=1)[:, :most]
        order = np.argsort(np.take_along_axis(distance, near, 1), axis=1, kind="stable")
        near = np.take_along_axis(near, order, 1)
        for k, parts in zip(NEIGHBOURS, found, strict=True):
            parts.append(y[near[:, :k]].mean(1))
    return [np.concatenate(parts) for parts in found]
