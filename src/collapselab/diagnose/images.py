"""Images to embed: a folder of them, with or without classes, or a data set that the pipeline made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from collapselab.data.dataset import load_split
from collapselab.data.images import SUFFIXES, class_files, read_image, visible
from collapselab.errors import UserError
from collapselab.randomness import generator

CHUNK = 128  # images decoded and embedded at a time


@dataclass(frozen=True)
class Images:
    """Images that are read a chunk at a time: `read(rows)` gives [n, 3, size, size] uint8. `labels` [N], None without classes."""

    count: int
    labels: NDArray[np.int64] | None
    read: Callable[[NDArray[np.int64]], NDArray[np.uint8]]
    note: str

    def chunks(self) -> Iterator[NDArray[np.uint8]]:
        for start in range(0, self.count, CHUNK):
            yield self.read(np.arange(start, min(start + CHUNK, self.count)))


def open_images(folder: Path, size: int, most: int) -> Images:
    """Images of a folder, a seeded choice of at most `most` (0: all), in a seeded order.

    The folder has a subfolder for each class, its own or under test/ or train/, or images directly in it; or it is a data
    folder of the pipeline, whose validation images are taken: training has never seen them.

    Raises UserError where there is no image.
    """
    if not folder.is_dir():
        raise UserError(
            f"--data {folder}: no such folder; give one of images, with a subfolder for each class if they have any"
        )
    if (folder / "manifest.json").is_file():
        split = load_split(folder, "validation")
        if split.images.shape[-1] != size:
            raise UserError(
                f"--data {folder} holds images of {split.images.shape[-1]} pixels: pass --size {split.images.shape[-1]}"
            )
        rows = _choice(len(split), most)
        return Images(
            len(rows),
            split.labels[rows],
            lambda chosen: split.images[rows[chosen]],
            _note(folder, len(rows), len(split)),
        )
    files, labels = _files(folder)
    rows = _choice(len(files), most)

    def read(chosen: NDArray[np.int64]) -> NDArray[np.uint8]:
        with ThreadPoolExecutor() as pool:
            return np.stack(list(pool.map(partial(read_image, size=size), (files[rows[row]] for row in chosen))))

    return Images(len(rows), None if labels is None else labels[rows], read, _note(folder, len(rows), len(files)))


def _files(folder: Path) -> tuple[list[Path], NDArray[np.int64] | None]:
    """Image files, and their classes' places where they lie in subfolders."""
    for place in (folder, folder / "test", folder / "train"):
        classes = class_files(place)
        if classes:
            files = [file for members in classes.values() for file in members]
            labels = np.repeat(np.arange(len(classes)), [len(members) for members in classes.values()])
            return files, labels if len(classes) > 1 else None
    files = [entry for entry in visible(folder) if entry.suffix.lower() in SUFFIXES and not entry.is_dir()]
    if len(files) < 2:
        raise UserError(
            f"--data {folder} holds {len(files) or 'no'} images: put images into it, or into a subfolder for each class, with "
            f"suffix {', '.join(SUFFIXES)}"
        )
    return files, None


def _choice(count: int, most: int) -> NDArray[np.int64]:
    order = generator(0, "diagnose/images").permutation(count)
    return np.asarray(order[:most] if most else order)


def _note(folder: Path, taken: int, there: int) -> str:
    return (
        f"{taken:,} of the {there:,} images of {folder.name}"
        if taken < there
        else f"all {there:,} images of {folder.name}"
    )
