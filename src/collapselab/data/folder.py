"""Any image folder: one subfolder a class, under train/ and test/ or directly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from collapselab.config.data import Folder
from collapselab.data.dataset import Split
from collapselab.data.images import SUFFIXES, class_files, read_images, shuffled
from collapselab.errors import UserError
from collapselab.randomness import generator

Classes = dict[str, list[Path]]


def make(config: Folder) -> tuple[str, list[str], dict[str, Split]]:
    """What was read, the class names in label order (sorted), and the three splits of images, [N, 3, size, size].

    `validation`, and `test` where the folder has no test/ beside its train/, are fractions of each class, rounded, and
    at least one image. Images come in an order shuffled by the seed. How one is read: see `images.read_image`.

    Raises UserError where there is no such folder or image, where train/ and test/ have different classes, where a
    class has too few images to split, or where an image cannot be read.
    """
    root = Path(config.path).expanduser()
    train, test = _classes(config, root)
    names = list(train)
    shares = {"validation": config.validation} if test else {"test": config.test, "validation": config.validation}
    files, labels = shuffled(train, generator(config.seed, "folder/order", 0))
    parts = {name: ([files[row] for row in rows], labels[rows]) for name, rows in _split(labels, names, shares).items()}
    if test:
        parts["test"] = shuffled(test, generator(config.seed, "folder/order", 1))
    kind = "its own train/ and test/" if test else f"test images split off with seed {config.seed}"
    splits = {name: Split(read_images(files, config.size), labels) for name, (files, labels) in parts.items()}
    # Its name alone: an absolute path says nothing to another reader, and would change hashes.
    return f"image folder {root.name}, {kind}", names, splits


def _classes(config: Folder, root: Path) -> tuple[Classes, Classes | None]:
    """The classes to train on, and those of test/ where the folder has one of its own."""
    where = f"params.yaml: data.path = {config.path!r}"
    if not root.is_dir():
        raise UserError(f"{where}: no such folder; give one that holds a subfolder for each class")
    # A class may well be called "train": only a train/ that holds classes itself is a part of the data.
    parted = class_files(root / "train")
    train = parted or class_files(root)
    if not train:
        raise UserError(
            f"{where}: no images found. Expected <class>/<image> in it, or under its train/ and test/, with suffix "
            f"{', '.join(SUFFIXES)}; images without classes go into one subfolder"
        )
    if not parted or not (root / "test").is_dir():
        return train, None
    test = class_files(root / "test")
    if set(train) != set(test):
        raise UserError(
            f"{where}: the classes of train/ and test/ differ. Only in train/: {_some(set(train) - set(test))}; in "
            f"test/: {_some(set(test) - set(train))}. Give both the same subfolders, with images"
        )
    return train, test


def _some(names: set[str]) -> str:
    return ", ".join(sorted(names)[:5]) + (", ..." if len(names) > 5 else "") or "none"


def _split(labels: NDArray[np.int64], names: list[str], shares: dict[str, float]) -> dict[str, NDArray[np.int64]]:
    """Split -> ascending row numbers: a share of each class's rows left, the first ones; train keeps the rest."""
    for key, share in shares.items():
        if not 0 < share < 1:
            raise UserError(f"params.yaml: data.{key} = {share:g}: must lie above 0 and below 1, or a split is empty")
    parts: dict[str, list[NDArray[np.int64]]] = {name: [] for name in ("train", *shares)}
    for label, name in enumerate(names):
        rows = np.flatnonzero(labels == label)
        total = len(rows)
        for split, share in shares.items():
            count = max(1, round(share * len(rows)))
            parts[split].append(rows[:count])
            rows = rows[count:]
        if not len(rows):
            taken = " and ".join(f"data.{key} = {share:g}" for key, share in shares.items())
            raise UserError(
                f"class {name!r} has too few images to split ({total}): {taken} leave none to train on. Add more, "
                "remove its subfolder, or lower the fractions"
            )
        parts["train"].append(rows)
    return {name: np.sort(np.concatenate(rows)) for name, rows in parts.items()}
