"""A data set on disk: three splits of uint8 images and a manifest that says what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapselab.errors import UserError
from collapselab.files import Arrays, load_arrays, read_json, save_arrays, sha256_file, write_json

SPLITS = ("train", "validation", "test")
SCHEMA = 1


@dataclass(frozen=True)
class Split:
    """Images [N, 3, H, W] uint8, labels [N] int64, and the recorded factors of variation, [N] each."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    factors: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    def pixels(self) -> NDArray[np.float32]:
        """[N, 3 H W] on a 0 to 1 scale: the baseline that needs no network."""
        return self.images.reshape(len(self), -1).astype(np.float32) / np.float32(255)

    def subset(self, rows: NDArray[np.integer[Any]] | slice) -> Split:
        return Split(
            self.images[rows], self.labels[rows], {name: values[rows] for name, values in self.factors.items()}
        )


@dataclass(frozen=True)
class Manifest:
    """What a data folder holds. `mean` and `std` are the training images' channel statistics on a 0 to 1 scale."""

    source: str
    origin: str
    classes: list[str]
    size: int
    counts: dict[str, int]
    sha256: dict[str, str]
    mean: list[float]
    std: list[float]
    schema: int = SCHEMA


def save_dataset(folder: Path, source: str, origin: str, classes: list[str], splits: Mapping[str, Split]) -> Manifest:
    """Write the three splits and the manifest; `origin` says which copy of the data it was."""
    for name in SPLITS:
        split = splits[name]
        arrays: Arrays = {"images": split.images, "labels": split.labels}
        arrays |= {f"factor.{factor}": values for factor, values in split.factors.items()}
        save_arrays(folder / f"{name}.safetensors", arrays)
    mean, std = channel_statistics(splits["train"].images)
    manifest = Manifest(
        source=source,
        origin=origin,
        classes=classes,
        size=int(splits["train"].images.shape[-1]),
        counts={name: len(splits[name]) for name in SPLITS},
        sha256={name: sha256_file(folder / f"{name}.safetensors") for name in SPLITS},
        mean=mean,
        std=std,
    )
    write_json(folder / "manifest.json", manifest.__dict__)
    return manifest


def channel_statistics(images: NDArray[np.uint8]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel over all pixels, 0 to 1, six digits, from exact integer sums."""
    flat = images.transpose(1, 0, 2, 3).reshape(images.shape[1], -1)
    histograms = np.stack([np.bincount(channel, minlength=256) for channel in flat])
    levels = np.arange(256) / 255
    mean = histograms @ levels / flat.shape[1]
    variance = histograms @ levels**2 / flat.shape[1] - mean**2
    return [round(float(m), 6) for m in mean], [round(float(max(v, 0.0)) ** 0.5, 6) for v in variance]


def load_manifest(folder: Path) -> Manifest:
    raw = read_json(folder / "manifest.json")
    if raw.get("schema") != SCHEMA:
        raise UserError(
            f"{folder}/manifest.json has schema {raw.get('schema')}, this version reads {SCHEMA}: run `dvc repro -f download`"
        )
    return Manifest(**raw)


def load_split(folder: Path, name: str) -> Split:
    """One split, its bytes checked against the manifest.

    Raises UserError where the file is missing or is not what the manifest promises.
    """
    manifest = load_manifest(folder)
    path = folder / f"{name}.safetensors"
    arrays = load_arrays(path)
    if sha256_file(path) != manifest.sha256[name]:
        raise UserError(f"{path} is not the file that {folder}/manifest.json describes: run `dvc repro -f download`")
    factors = {key.removeprefix("factor."): value for key, value in arrays.items() if key.startswith("factor.")}
    return Split(arrays["images"], arrays["labels"], factors)


def stratified(
    labels: NDArray[np.int64], count: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers split into (chosen, rest), the `count` chosen spread over the classes as evenly as they allow.

    Both parts come back in ascending order.
    """
    ranks = np.empty(len(labels), dtype=np.float64)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        ranks[rows] = np.arange(len(rows)) + rng.random()  # the random part decides between classes at the last rank
    order = np.argsort(ranks, kind="stable")
    return np.sort(order[:count]), np.sort(order[count:])
