"""The contact sheets show what training sees: the same images, the same draws."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from collapselab.config.study import Study, load_study
from collapselab.data.augment import Normalisation, augment, width
from collapselab.data.dataset import Manifest, Split
from collapselab.files import read_json, write_json
from collapselab.preview import DRAWS, FIRST, GAP, IMAGES, LABEL, contact_sheet, write_preview
from collapselab.randomness import uniforms

SEED, SIDE, SCALE = 3, 32, 3
STUDENT = {"flip": 0.5, "erase": {"scale": [0.4, 0.5]}}
CELL = {"backbone": "resnet", "epochs": 1, "batch_size": 4}
PARAMS: dict[str, Any] = {
    "study": "small",
    "seeds": [SEED, 9],
    "data": {
        "source": "digits", "train": 12, "validation": 4, "test": 4, "size": [12, 24], "shift": 0, "angle": 0,
        "brightness": [0, 1], "noise": 0, "colours": False,
    },
    "augmentations": {
        "notebook": {"student": STUDENT, "teacher": {}},
        "crops": {"view": {"views": 2, "crop": {"scale": [0.2, 1.0]}}},
        "same": {"view": STUDENT},
    },
    "backbones": {
        "vit": {"architecture": "vit", "patch": 4, "width": 8, "depth": 1, "heads": 1, "mlp": 8},
        "resnet": {"architecture": "resnet", "widths": [4], "blocks": [1]},
    },
    "training": {"snapshots": {"bank": 2, "queries": 2, "view_images": 2}},
    "evaluation": {},
    "regimes": {
        "tokens": CELL | {"method": "token_distillation", "backbone": "vit", "augmentation": "notebook"},
        "simclr": CELL | {"method": "simclr", "augmentation": "crops"},
        "simsiam": CELL | {"method": "simsiam", "augmentation": "crops"},
        "supervised": CELL | {"method": "supervised", "augmentation": "same"},
    },
}  # fmt: skip


@pytest.fixture
def study(tmp_path: Path) -> Study:
    write_json(tmp_path / "params.yaml", PARAMS)  # JSON is YAML
    return load_study(tmp_path / "params.yaml")


@pytest.fixture
def train() -> Split:
    rng = np.random.default_rng(0)
    return Split(rng.integers(0, 256, (12, 3, SIDE, SIDE), dtype=np.uint8), np.arange(12) % 3)


@pytest.fixture
def manifest() -> Manifest:
    return Manifest("digits", "random", ["cat", "dog", "a|b <c>"], SIDE, {}, {}, [0.5, 0.4, 0.3], [0.2, 0.3, 0.25])


def _tiles(path: Path, columns: int, count: int, *, named: bool) -> np.ndarray:
    """The tiles of a sheet at their own resolution, [count, SIDE, SIDE, 3]."""
    pixels, step = np.asarray(Image.open(path)), SIDE * SCALE + GAP
    tiles = []
    for number in range(count):
        left = GAP + number % columns * step
        upper = (GAP + LABEL + number // columns * (step + LABEL)) if named else LABEL + number // columns * step
        tiles.append(pixels[upper : upper + SIDE * SCALE : SCALE, left : left + SIDE * SCALE : SCALE])
    return np.stack(tiles)


def test_teacher_and_student_show_the_same_images_with_trainings_own_draws(
    study: Study, train: Split, manifest: Manifest, tmp_path: Path
) -> None:
    write_preview(study, train, manifest, tmp_path)
    teacher = _tiles(tmp_path / "first-notebook-teacher.png", 5, FIRST, named=True)
    np.testing.assert_array_equal(teacher, train.images[:FIRST].transpose(0, 2, 3, 1))
    branch, normalise = study.augmentations["notebook"]["student"], Normalisation.of(manifest.mean, manifest.std)
    draws = torch.from_numpy(uniforms(SEED, "augment/student/0", 0, len(train), width(branch)))
    seen = normalise.undo(augment(torch.from_numpy(train.images), draws, branch, normalise))[:FIRST]
    expected = (seen * 255).round().byte().permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(_tiles(tmp_path / "first-notebook-student.png", 5, FIRST, named=True), expected)


def test_the_strength_sheet_starts_clean_and_draws_differ(
    study: Study, train: Split, manifest: Manifest, tmp_path: Path
) -> None:
    write_preview(study, train, manifest, tmp_path)
    tiles = _tiles(tmp_path / "strength-crops-view.png", 1 + DRAWS, IMAGES * (1 + DRAWS), named=False)
    rows = tiles.reshape(IMAGES, 1 + DRAWS, -1)
    np.testing.assert_array_equal(rows[:, 0], train.images[:IMAGES].transpose(0, 2, 3, 1).reshape(IMAGES, -1))
    # A draw may take the whole image, and so equal the clean one; no two may be alike by more than that.
    assert all(len(np.unique(row, axis=0)) >= DRAWS for row in rows)


def test_the_index_says_whom_each_sheet_belongs_to(
    study: Study, train: Split, manifest: Manifest, tmp_path: Path
) -> None:
    write_preview(study, train, manifest, tmp_path)
    index = read_json(tmp_path / "index.json")
    seen = {grid["file"]: [(entry["regime"], entry["branch"]) for entry in grid["seen_by"]] for grid in index["grids"]}
    assert seen == {
        "first-notebook-student.png": [("tokens", "student")],
        "first-notebook-teacher.png": [("tokens", "teacher")],
        "first-crops-view-1.png": [("simclr", "view"), ("simsiam", "view")],
        "first-crops-view-2.png": [("simclr", "view"), ("simsiam", "view")],
        "first-same-view.png": [("supervised", "view")],
        # one sheet for each distinct augmentation: `same` is the notebook's student, and the teacher's is clean
        "strength-notebook-student.png": [("tokens", "student"), ("supervised", "view")],
        "strength-crops-view.png": [("simclr", "view"), ("simsiam", "view")],
    }
    assert sorted(seen) == sorted(path.name for path in tmp_path.glob("*.png"))
    assert (index["study"], index["seed"]) == ("small", SEED)


def test_the_same_bytes_again_and_nothing_but_pixels(
    study: Study, train: Split, manifest: Manifest, tmp_path: Path
) -> None:
    first, again = (write_preview(study, train, manifest, tmp_path / name) for name in ("a", "b"))
    assert [sheet.png for sheet in first] == [sheet.png for sheet in again]
    assert all(Image.open(io.BytesIO(sheet.png)).info == {} for sheet in first)


def test_a_data_set_smaller_than_a_sheet_still_has_one(
    study: Study, train: Split, manifest: Manifest, tmp_path: Path
) -> None:
    write_preview(study, train.subset(slice(0, 3)), manifest, tmp_path)
    assert (tmp_path / "first-notebook-student.png").is_file()


@pytest.mark.parametrize("side", [8, 200])
def test_any_size_and_any_name_fits(side: int) -> None:
    tiles = np.zeros((10, side, side, 3), dtype=np.uint8)
    sheet = Image.open(
        io.BytesIO(contact_sheet(tiles, columns=5, names=["a very long class name, longer than its image"] * 10))
    )
    assert 480 <= sheet.width <= 520
