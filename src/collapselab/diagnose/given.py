"""Arrays that a user gave, checked one by one before anything is computed from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.statistics.moments import BLOCK
from collapselab.collapse.token_sums import TokenSums
from collapselab.errors import UserError

WIDEST = 8192  # dimensions: covariances of so many take half a GiB, and minutes
SIDES = ("labels", "views", "probabilities", "tokens", "prototypes")
SHAPES = {
    "labels": "[images]",
    "views": "[images, views, dimensions], two or more of images and views",
    "probabilities": "[images, prototypes], two or more of each",
    "tokens": "[images, positions, dimensions], two or more of images and positions",
    "prototypes": "[prototypes, dimensions], two or more prototypes",
}
_RANKS = {"labels": 1, "views": 3, "probabilities": 2, "tokens": 3, "prototypes": 2}
_AT_LEAST_TWO = {"labels": 0, "views": 2, "probabilities": 2, "tokens": 2, "prototypes": 1}  # leading axes


@dataclass(frozen=True)
class Given:
    """An array and where it is from, as messages name it: "features.npy", "--views views.npy", "all.npz: views"."""

    array: NDArray[Any]
    where: str


def evidence(features: Given, sides: Mapping[str, Given]) -> Evidence:
    """What is known of one layer. Keys of `sides` are names of SIDES.

    Raises UserError that names the array, what is wrong with it and the fix.
    """
    _check_features(features)
    for name, given in sides.items():
        if name != "labels":
            _check_side(name, given)
    count, dimensions = features.array.shape
    labels = _labels(sides["labels"], count, features.where) if "labels" in sides else None
    views, probabilities, prototypes = (sides.get(name) for name in ("views", "probabilities", "prototypes"))
    if views and views.array.shape[2] != dimensions:
        raise UserError(
            f"{views.where}: views have {views.array.shape[2]} dimensions, {features.where} has {dimensions}: "
            "take both from the same layer"
        )
    if prototypes and probabilities and len(prototypes.array) != probabilities.array.shape[1]:
        raise UserError(
            f"{prototypes.where}: {len(prototypes.array)} prototypes, but {probabilities.where} has "
            f"{probabilities.array.shape[1]} columns: save the last layer's weights as [prototypes, dimensions]"
        )
    try:
        return Evidence(
            sample=features.array,
            views=views.array if views else None,
            labels=labels,
            probabilities=probabilities.array if probabilities else None,
            tokens=TokenSums.of(sides["tokens"].array) if "tokens" in sides else None,
            prototypes=prototypes.array if prototypes else None,
        )
    except UserError as error:
        # Shapes and types were checked above: what is left is a softmax that is none.
        where = probabilities.where if probabilities and "probabilities" in str(error) else features.where
        raise UserError(f"{where}: {error}") from error


def _check_features(given: Given) -> None:
    shape = given.array.shape
    if given.array.ndim == 1:
        raise UserError(f"{given.where} is one-dimensional, {_brief(shape)}: save [images, dimensions]")
    if given.array.ndim == 3:
        raise UserError(
            f"{given.where} has shape {_brief(shape)}: give [images, dimensions], pooled with x.mean(1), and pass the tokens "
            "themselves with --tokens FILE (or augmented views with --views FILE)"
        )
    if given.array.ndim == 4:
        raise UserError(
            f"{given.where} has shape {_brief(shape)}: pool maps first, [images, channels, height, width] with x.mean((2, 3))"
        )
    if given.array.ndim != 2:
        raise UserError(f"{given.where} has shape {_brief(shape)}: save [images, dimensions]")
    _check_numbers(given)
    if shape[1] > WIDEST:
        raise UserError(
            f"{given.where} has {shape[1]} dimensions, more than {WIDEST}: pool maps and tokens first, or give a layer after"
        )
    if min(shape) < 1:
        raise UserError(f"{given.where} is empty, of shape {_brief(shape)}: save [images, dimensions]")
    if len(given.array) < 2:
        raise UserError(
            f"{given.where} holds one vector: collapse is about how vectors differ, supply at least two images"
        )
    _check_finite(given)


def _check_side(name: str, given: Given) -> None:
    array = given.array
    if array.ndim != _RANKS[name] or any(size < 2 for size in array.shape[: _AT_LEAST_TWO[name]]) or array.size == 0:
        raise UserError(f"{given.where} has shape {_brief(array.shape)}: {name} are {SHAPES[name]}")
    _check_numbers(given)
    _check_finite(given)


def _check_numbers(given: Given) -> None:
    if given.array.dtype.kind not in "fiu":
        kind = "text" if given.array.dtype.kind in "US" else str(given.array.dtype)
        raise UserError(f"{given.where} holds {kind}: save real numbers, float16 to float64")


def _check_finite(given: Given) -> None:
    """Read in blocks: a file larger than memory is checked as well."""
    array = given.array
    if array.dtype.kind != "f":
        return
    bad, first, rows = 0, -1, max(1, BLOCK * len(array) // array.size)
    for start in range(0, len(array), rows):
        block = array[start : start + rows]
        wrong = np.flatnonzero(~np.isfinite(block).reshape(len(block), -1).all(1))
        if len(wrong) and first < 0:
            first = start + int(wrong[0])
        bad += len(wrong)
    if bad:
        raise UserError(
            f"{given.where}: row {first} holds NaN or infinity ({bad} of {len(array)} rows do): find the step that made them, "
            "or drop those rows"
        )


def _labels(given: Given, count: int, features: str) -> NDArray[np.int64]:
    """Labels of any kind, names too, as class indices from 0."""
    array = given.array
    if array.ndim == 2 and 1 in array.shape:
        array = array.ravel()
    if array.ndim != 1 or len(array) != count:
        raise UserError(
            f"{given.where} has shape {_brief(given.array.shape)}: labels are one for each of the {count} images of {features}"
        )
    whole = array.dtype.kind in "iubUS" or (array.dtype.kind == "f" and bool((array == np.round(array)).all()))
    if not whole:
        raise UserError(f"{given.where}: labels must be whole numbers or names of classes, not {array.dtype} values")
    return np.asarray(np.unique(array, return_inverse=True)[1], dtype=np.int64)


def _brief(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape) or "a single number"
