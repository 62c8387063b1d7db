"""Which test images were answered rightly: what intervals over images, and comparisons paired by image, are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapselab.data.dataset import Split
from collapselab.files import Arrays, save_arrays

ORIGINAL = "original"  # the factor that says which images are draws of one original
PIXELS = "pixels"
UNLABELLED = "the images carry no labels (fewer than two classes): k-NN and the linear probe are skipped"


def labelled(labels: NDArray[np.int64]) -> bool:
    """Whether labels say anything: a folder of images without classes comes as a single class."""
    return len(labels) > 0 and bool((labels != labels[0]).any())


@dataclass(frozen=True)
class Judged:
    """One cell: its entry of the stage's JSON, and `layer/moment` -> whether each test image was answered rightly, [M]."""

    entry: dict[str, Any]
    right: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)


def entries(regimes: Mapping[str, Sequence[Judged]]) -> dict[str, list[dict[str, Any]]]:
    return {regime: [judged.entry for judged in cells] for regime, cells in regimes.items()}


def write_answers(
    path: Path, regimes: Mapping[str, Sequence[Judged]], pixels: NDArray[np.bool_] | None, test: Split
) -> None:
    """A safetensors file: `regime/seed/layer/moment` and `pixels`, [M] of 0 and 1, beside `original`, [M].

    Images with the same `original` are draws of one image and no independent witnesses: intervals resample originals. Where
    the data set records none, each image is its own. Unlabelled images leave `original` alone.
    """
    arrays: Arrays = {ORIGINAL: np.asarray(test.factors.get(ORIGINAL, np.arange(len(test))), dtype=np.int64)}
    if pixels is not None:
        arrays[PIXELS] = pixels.astype(np.uint8)
    for regime, cells in regimes.items():
        for judged in cells:
            prefix = f"{regime}/{judged.entry['seed']}"
            arrays |= {f"{prefix}/{key}": right.astype(np.uint8) for key, right in judged.right.items()}
    save_arrays(path, arrays)
