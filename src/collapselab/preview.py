"""What each branch of each regime really sees, as contact sheets.

Two kinds of sheet. `first`: the first ten images of epoch 0 with their class names, one sheet a branch and view, so
that the branches of one regime can be laid side by side. `strength`: four images, each clean and then as eight epochs
draw it, one sheet for each distinct augmentation, so that its strength can be seen. All draws are those of training, at
the first seed.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from collapselab.config.data import Augmentation, Branch
from collapselab.config.study import Study
from collapselab.data.augment import Normalisation, clean, width
from collapselab.data.dataset import Manifest, Split
from collapselab.data.loader import Loader
from collapselab.files import write_bytes, write_json

SCHEMA = 1
TILE = 96  # pixels that a sheet gives to one image, about
GAP, LABEL = 6, 20
FIRST, IMAGES, DRAWS = 10, 4, 8

Pixels = NDArray[np.uint8]  # [N, H, W, 3]


@dataclass(frozen=True)
class Sheet:
    """One PNG and whom it belongs to: `seen_by` holds (regime, branch) pairs."""

    file: str
    kind: str
    title: str
    branch: Branch
    seen_by: tuple[tuple[str, str], ...]
    png: bytes

    def describe(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "kind": self.kind,
            "title": self.title,
            "branch": self.branch.model_dump(mode="json"),
            "seen_by": [{"regime": regime, "branch": branch} for regime, branch in self.seen_by],
        }


def write_preview(study: Study, train: Split, manifest: Manifest, out: Path) -> list[Sheet]:
    """Draw every sheet of the study into `out`, with index.json naming the regimes and branches that see it."""
    source = Source(study, train, manifest)
    sheets = first_sheets(source) + strength_sheets(source)
    for sheet in sheets:
        write_bytes(out / sheet.file, sheet.png)
    index = {
        "schema": SCHEMA,
        "study": study.study,
        "seed": study.seeds[0],
        "grids": [sheet.describe() for sheet in sheets],
    }
    write_json(out / "index.json", index)
    return sheets


class Source:
    """The training images of a study, as its branches see them."""

    def __init__(self, study: Study, train: Split, manifest: Manifest) -> None:
        self.study, self.classes = study, manifest.classes
        self.images, self.labels = torch.from_numpy(train.images), torch.from_numpy(train.labels)
        self.normalise = Normalisation.for_data(study.data, manifest)

    def views(self, augmentation: Augmentation, size: int, epoch: int, *, shuffle: bool) -> dict[str, list[Pixels]]:
        """The first `size` images of an epoch as each branch and view shows them, un-normalised."""
        batch = next(iter(self._loader(augmentation, size, shuffle).epoch(epoch)))
        return {branch: [self._pixels(view) for view in views] for branch, views in batch.images.items()}

    def names(self, size: int, *, shuffle: bool) -> list[str]:
        """Class names of the first `size` images of epoch 0."""
        labels = next(iter(self._loader({}, size, shuffle).epoch(0))).labels
        return [self.classes[label] for label in labels.tolist()]

    def originals(self, size: int) -> Pixels:
        return self._pixels(clean(self.images[:size], self.normalise))

    def _loader(self, augmentation: Augmentation, size: int, shuffle: bool) -> Loader:
        seed = self.study.seeds[0]
        size = min(size, len(self.images))
        return Loader(self.images, self.labels, augmentation, self.normalise, size, seed, shuffle=shuffle)

    def _pixels(self, images: torch.Tensor) -> Pixels:
        return (self.normalise.undo(images) * 255).round().byte().permute(0, 2, 3, 1).numpy()


def first_sheets(source: Source) -> list[Sheet]:
    """One sheet for each view of each branch of every augmentation in use (for both orders where both are used)."""
    users: dict[tuple[str, bool], list[str]] = {}
    for name, regime in source.study.regimes.items():
        users.setdefault((regime.augmentation, regime.shuffle), []).append(name)
    sheets = []
    for (augmentation, shuffle), regimes in users.items():
        order = ("-shuffled" if shuffle else "-in-order") if (augmentation, not shuffle) in users else ""
        sheets += _first(source, augmentation, shuffle, order, regimes)
    return sheets


def _first(source: Source, augmentation: str, shuffle: bool, order: str, regimes: list[str]) -> list[Sheet]:
    branches, names = source.study.augmentations[augmentation], source.names(FIRST, shuffle=shuffle)
    sheets = []
    for branch, views in source.views(branches, FIRST, 0, shuffle=shuffle).items():
        for number, view in enumerate(views, 1):
            several = len(views) > 1
            name = f"{augmentation}-{branch}" + (f"-{number}" if several else "") + order
            title = f"{augmentation}: {branch}" + (f" {number} of {len(views)}" if several else "")
            seen_by = tuple((regime, branch) for regime in regimes)
            png = contact_sheet(view, columns=5, names=names)
            sheets.append(Sheet(f"first-{name}.png", "first", title, branches[branch], seen_by, png))
    return sheets


def strength_sheets(source: Source) -> list[Sheet]:
    """One sheet for each distinct augmentation; a branch that sees the clean image has none."""
    users: dict[Branch, list[tuple[str, str]]] = {}
    names: dict[Branch, str] = {}
    for name, regime in source.study.regimes.items():
        for branch, entry in source.study.augmentations[regime.augmentation].items():
            single = entry.model_copy(update={"views": 1})  # the number of views makes no other augmentation
            users.setdefault(single, []).append((name, branch))
            names.setdefault(single, f"{regime.augmentation}-{branch}")
    return [
        _strength(source, names[branch], branch, tuple(seen_by)) for branch, seen_by in users.items() if width(branch)
    ]


def _strength(source: Source, name: str, branch: Branch, seen_by: tuple[tuple[str, str], ...]) -> Sheet:
    key = seen_by[0][1]
    rows = [source.originals(IMAGES)]
    rows += [source.views({key: branch}, IMAGES, epoch, shuffle=False)[key][0] for epoch in range(DRAWS)]
    tiles = np.stack(rows, 1).reshape(-1, *rows[0].shape[1:])  # each image's clean tile, then its draws
    png = contact_sheet(tiles, columns=1 + DRAWS, header=["clean", *(f"draw {number + 1}" for number in range(DRAWS))])
    return Sheet(f"strength-{name}.png", "strength", f"{name}: strength", branch, seen_by, png)


def contact_sheet(
    tiles: Pixels, columns: int, names: list[str] | None = None, header: list[str] | None = None
) -> bytes:
    """A PNG of the tiles in rows, `names` above each tile or `header` above each column. The same bytes every time."""
    height, wide = _tile_size(tiles)
    rows = -(-len(tiles) // columns)
    step = height + GAP + (LABEL if names else 0)
    top = GAP if names else LABEL
    sheet = Image.new("RGB", (columns * (wide + GAP) + GAP, rows * step + top), "white")
    draw, font = ImageDraw.Draw(sheet), _font()
    for number, tile in enumerate(tiles):
        left, upper = GAP + number % columns * (wide + GAP), top + number // columns * step
        label = names[number] if names else header[number % columns] if header and number < columns else ""
        draw.text(
            (left + wide // 2, upper - (0 if names else LABEL) + 2),
            _fitted(label, font, wide),
            "black",
            font,
            anchor="ma",
        )
        sheet.paste(_scaled(tile, height, wide), (left, upper + (LABEL if names else 0)))
    content = io.BytesIO()
    sheet.save(content, format="PNG", optimize=True)
    return content.getvalue()


def _tile_size(tiles: Pixels) -> tuple[int, int]:
    """Small images are enlarged by a whole factor, so that pixels stay square and sharp; large ones shrink to TILE."""
    height, wide = tiles.shape[1:3]
    factor = TILE // max(height, wide)
    return (height * factor, wide * factor) if factor else (TILE, TILE)


def _scaled(tile: NDArray[np.uint8], height: int, wide: int) -> Image.Image:
    method = Image.Resampling.NEAREST if tile.shape[0] <= height else Image.Resampling.BOX
    return Image.fromarray(tile).resize((wide, height), method)


def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), 13)


def _fitted(text: str, font: ImageFont.FreeTypeFont, wide: int) -> str:
    while text and font.getlength(text) > wide:
        text = text.removesuffix("…")[:-1] + "…" if len(text) > 1 else ""
    return text
