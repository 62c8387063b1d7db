"""Image files as RGB arrays, for every source that reads folders of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from collapselab.console import progress
from collapselab.errors import UserError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
CHUNK = 64  # images a thread takes at a time


def class_files(folder: Path) -> dict[str, list[Path]]:
    """Class -> the image files directly in its subfolder, both sorted by name.

    Hidden entries, other suffixes and subfolders without images are passed over; a missing folder has no class.
    """
    found = {entry.name: _image_files(entry) for entry in visible(folder) if entry.is_dir()}
    return {name: files for name, files in found.items() if files}


def visible(folder: Path) -> list[Path]:
    """What is in `folder`, sorted by name, without hidden entries; nothing where it does not exist."""
    entries = folder.iterdir() if folder.is_dir() else ()
    return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)


def _image_files(folder: Path) -> list[Path]:
    # A link to nowhere stays in: reading it names it, where passing over it would lose an image in silence.
    return [entry for entry in visible(folder) if entry.suffix.lower() in SUFFIXES and not entry.is_dir()]


def shuffled(classes: Mapping[str, list[Path]], rng: np.random.Generator) -> tuple[list[Path], NDArray[np.int64]]:
    """All files and their labels [N], a label being its class's position, in one random order.

    Folders come sorted by class, and a reader that takes the first n images (the probe set does) must get every class.
    """
    files = [file for members in classes.values() for file in members]
    labels = np.repeat(np.arange(len(classes)), [len(members) for members in classes.values()])
    order = rng.permutation(len(files))
    return [files[row] for row in order], labels[order]


def read_images(files: Sequence[Path], size: int, threads: int | None = None) -> NDArray[np.uint8]:
    """The files as [N, 3, size, size] uint8, see `read_image`; a progress bar on a terminal.

    Photographs decode two to three times faster on two threads (the default is one a processor). Thumbnails do not:
    there the interpreter's lock costs more than the decoding.

    Raises UserError that names the first file that cannot be read.
    """
    images = np.empty((len(files), 3, size, size), dtype=np.uint8)

    def fill(start: int) -> None:
        for row, file in enumerate(files[start : start + CHUNK], start):
            images[row] = read_image(file, size)

    with progress("reading images") as advance, ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for done, _ in enumerate(pool.map(fill, range(0, len(files), CHUNK)), 1):
            advance(min(done * CHUNK, len(files)), len(files))
    return images


def read_image(file: Path, size: int) -> NDArray[np.uint8]:
    """One image as [3, size, size] uint8 RGB: upright by its EXIF orientation, its centre square resized.

    Resizing is bicubic and antialiased; an image of that size keeps its pixels. Transparent parts become white, as on a
    page; greys of 0 to 65,535 are scaled to 0 to 255.

    Raises UserError that names the file where it cannot be read.
    """
    try:
        with Image.open(file) as image:
            square = ImageOps.fit(_rgb(ImageOps.exif_transpose(image)), (size, size), Image.Resampling.BICUBIC)
    except Exception as error:  # a damaged file raises whatever its format's parser trips over
        reason = "damaged, or of an unknown format" if isinstance(error, UnidentifiedImageError) else str(error)
        raise UserError(f"{file} cannot be read as an image ({reason}): mend or delete it, then run again") from error
    return np.asarray(square).transpose(2, 0, 1)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        image = _eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Greys of 0 to 65,535 as 0 to 255; Pillow's own conversion clips them to white."""
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise ValueError(f"greys from {values.min():g} to {values.max():g} have no known white: store 8 or 16 bits")
    return Image.fromarray(np.rint(values / 257).astype(np.uint8))
