"""CIFAR-10 (Krizhevsky 2009) from the copy that is there, or downloaded: 50,000 + 10,000 images of 32 x 32."""

from __future__ import annotations

import hashlib
import http.client
import io
import socket
import sys
import tarfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext, redirect_stderr
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from collapselab.config.data import Cifar10
from collapselab.data.dataset import Split, stratified
from collapselab.data.images import class_files, read_images, shuffled, visible
from collapselab.errors import UserError
from collapselab.randomness import generator

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
ARCHIVE, MD5 = "cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"
UNPACKED = "cifar-10-batches-bin"
PICKLED = ("cifar-10-python.tar.gz", "cifar-10-batches-py")
BATCHES = {"train": [f"data_batch_{number}.bin" for number in range(1, 6)], "test": ["test_batch.bin"]}
RECORD = 1 + 3 * 32 * 32  # a label's byte, then the red, green and blue planes
PER_CLASS = {"train": 5000, "test": 1000}
TIMEOUT = 30  # seconds without an answer after which a download counts as failed

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class _Copy:
    """One copy of the published parts, "train" and "test": labels [N], and images [n, 3, 32, 32] by part and rows."""

    origin: str
    labels: Mapping[str, NDArray[np.int64]]
    read: Callable[[str, Rows], NDArray[np.uint8]]


def make(config: Cifar10, raw: Path) -> tuple[str, list[str], dict[str, Split]]:
    """Which copy it was, the class names in label order, and the three splits; `raw` is where copies are looked for.

    Validation images come out of the training part; all choices are balanced over the classes.

    Raises UserError for counts that CIFAR-10 cannot give, a damaged or incomplete copy, or where no copy can be had.
    """
    _check_counts(config)
    copy = _find(raw, config.seed)
    _check_complete(copy, raw)
    labels = copy.labels["train"]
    validation, rest = stratified(labels, config.validation, generator(config.seed, "cifar10/validation"))
    if config.train is not None:
        rest = rest[stratified(labels[rest], config.train, generator(config.seed, "cifar10/train"))[0]]
    count = len(copy.labels["test"]) if config.test is None else config.test
    test, _ = stratified(copy.labels["test"], count, generator(config.seed, "cifar10/test"))
    chosen = {"train": ("train", rest), "validation": ("train", validation), "test": ("test", test)}
    splits = {name: Split(copy.read(part, rows), copy.labels[part][rows]) for name, (part, rows) in chosen.items()}
    return copy.origin, CLASSES, splits


def _check_counts(config: Cifar10) -> None:
    train, test = (len(CLASSES) * PER_CLASS[part] for part in ("train", "test"))
    if config.train is None and config.validation >= train:
        raise UserError(
            f"params.yaml: data.validation = {config.validation}: allowed are 1 to {train - 1:,}, as the {train:,} "
            "training images must leave some to train on"
        )
    if config.train is not None and config.train + config.validation > train:
        raise UserError(
            f"params.yaml: data.train = {config.train} and data.validation = {config.validation}: together "
            f"{config.train + config.validation:,}; allowed are the {train:,} training images at most: lower one"
        )
    if config.test is not None and config.test > test:
        raise UserError(f"params.yaml: data.test = {config.test}: allowed are 1 to {test:,}, or null for all of them")


def _check_complete(copy: _Copy, raw: Path) -> None:
    for part, labels in copy.labels.items():
        counts = np.bincount(labels, minlength=len(CLASSES))
        if not np.array_equal(counts, [PER_CLASS[part]] * len(CLASSES)):
            raise UserError(
                f"{raw}: the {copy.origin} is incomplete: {part} images a class {counts.tolist()}, expected "
                f"{PER_CLASS[part]:,} each. Unpack or copy it again, or remove it, then run again"
            )


def _find(raw: Path, seed: int) -> _Copy:
    if (raw / ARCHIVE).exists():
        return _archive(raw / ARCHIVE)
    if (raw / UNPACKED).is_dir():
        return _unpacked(raw / UNPACKED)
    if (folder := _image_root(raw)) is not None:
        return _image_folder(raw, folder, seed)
    for name in PICKLED:
        if (raw / name).exists():
            raise UserError(
                f"{raw / name} holds pickles, which can run code and are never opened here: put the binary archive "
                f"({URL}) at {raw / ARCHIVE}, or remove {name} and run again to download it"
            )
    _download(raw)
    return _archive(raw / ARCHIVE)


def _archive(path: Path) -> _Copy:
    with path.open("rb") as file:
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if md5 != MD5:
            raise UserError(
                f"{path} is damaged or not the published archive (md5 {md5}, expected {MD5}): delete it and run again "
                f"to download it, or put another copy of {URL} there"
            )
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:gz") as tar:
            streams = ((Path(member.name).name, tar.extractfile(member)) for member in tar)
            files = {name: stream.read() for name, stream in streams if stream is not None}
    return _binary(f"original binary archive, md5 {MD5}", files, path)


def _unpacked(folder: Path) -> _Copy:
    files = {entry.name: entry.read_bytes() for entry in visible(folder) if entry.suffix == ".bin"}
    origin = f"unpacked binary archive {UNPACKED}/ (not verified: only the archive has a published md5)"
    return _binary(origin, files, folder)


def _binary(origin: str, files: Mapping[str, bytes], where: Path) -> _Copy:
    parts = {part: np.concatenate([_records(files, name, where) for name in names]) for part, names in BATCHES.items()}
    labels = {part: records[:, 0].astype(np.int64) for part, records in parts.items()}
    return _Copy(origin, labels, lambda part, rows: parts[part][rows, 1:].reshape(-1, 3, 32, 32))


def _records(files: Mapping[str, bytes], name: str, where: Path) -> NDArray[np.uint8]:
    """One batch's records, [N, 3073] uint8."""
    content = files.get(name, b"")
    if not content or len(content) % RECORD:
        state = f"ends within an image ({len(content):,} bytes)" if content else "is missing or empty"
        raise UserError(f"{where}: {name} {state}: unpack or copy it again, or remove {where} to have it downloaded")
    return np.frombuffer(content, dtype=np.uint8).reshape(-1, RECORD)


def _image_root(raw: Path) -> Path | None:
    """Where train/ and test/ are: `raw`, or a folder in it, as an unpacked tar may leave them."""

    def holds_images(folder: Path) -> bool:
        return any((folder / part).is_dir() for part in PER_CLASS)

    if holds_images(raw):
        return raw
    nested = [folder for folder in visible(raw) if holds_images(folder)]
    if len(nested) > 1:
        names = ", ".join(str(folder) for folder in nested)
        raise UserError(f"{raw} holds more than one image folder ({names}): keep one of them, then run again")
    return nested[0] if nested else None


def _image_folder(raw: Path, folder: Path, seed: int) -> _Copy:
    files, labels = {}, {}
    for address, part in enumerate(PER_CLASS):
        classes = class_files(folder / part)
        if list(classes) != CLASSES:
            raise UserError(
                f"{folder / part} has images of the classes {', '.join(classes) or '(none)'}; expected "
                f"{', '.join(CLASSES)}. Images other than CIFAR-10's are read with data.source: folder"
            )
        files[part], labels[part] = shuffled(classes, generator(seed, "cifar10/order", address))
    shown = folder.relative_to(raw.parent) if folder.is_absolute() else folder
    origin = f"image folder {shown.as_posix()} (re-encoded images, not the published bytes)"
    return _Copy(origin, labels, lambda part, rows: read_images([files[part][row] for row in rows], 32, threads=1))


def _download(raw: Path) -> None:
    """The binary archive, its md5 checked by torchvision, under its own name only once it is whole."""
    from torchvision.datasets.utils import download_url  # seconds to import, so only here

    partial = raw / f".{ARCHIVE}.part"
    previous = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        # torchvision draws its progress bar even into a log file.
        with nullcontext() if sys.stderr.isatty() else redirect_stderr(io.StringIO()):
            download_url(URL, str(raw), filename=partial.name, md5=MD5)
        partial.replace(raw / ARCHIVE)
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        raise UserError(
            f"CIFAR-10 is not in {raw} and cannot be downloaded.\n"
            f"Looked there for {ARCHIVE}, {UNPACKED}/ and an image folder {{train,test}}/<class>/*.jpg or *.png.\n"
            f"Downloading {URL} gave: {error}\n"
            f"Ways forward: put the archive at {raw / ARCHIVE}, or the folders train/ and test/ of images into {raw}; "
            "or run `make repro STUDY=quick`, which needs no download."
        ) from error
    finally:
        socket.setdefaulttimeout(previous)
        partial.unlink(missing_ok=True)
