"""The digits: drawn where and as their factors say, and the same on every call."""

from __future__ import annotations

import colorsys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from collapselab.config.data import Digits
from collapselab.data import digits
from collapselab.data.dataset import SPLITS, Split, load_manifest, load_split
from collapselab.data.sources import download

STILL: dict[str, Any] = {"size": (8, 8), "shift": 0, "angle": 0, "brightness": (1, 1), "noise": 0, "colours": False}
MOVING = STILL | {"size": (12, 24), "shift": 5, "angle": 30, "brightness": (0.6, 1), "noise": 0.05, "colours": True}


def _config(**values: Any) -> Digits:
    return Digits(**{"source": "digits", "train": 60, "validation": 30, "test": 40} | MOVING | values)


def _strokes(split: Split) -> Any:
    """The originals behind a split, [N, 8, 8], 0 to 1."""
    return load_digits().images[split.factors["original"]] / 16


@pytest.mark.parametrize("colours", [True, False])
def test_two_calls_give_the_same_bytes(tmp_path: Path, colours: bool) -> None:
    for name in ("one", "two"):
        download(_config(colours=colours), tmp_path / "raw", tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["manifest.json", "test.safetensors", "train.safetensors", "validation.safetensors"]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_manifest(tmp_path: Path) -> None:
    config = _config()
    assert download(config, tmp_path / "raw", tmp_path / "data") == load_manifest(tmp_path / "data")
    manifest = load_manifest(tmp_path / "data")
    assert manifest.source == "digits" and "1,797" in manifest.origin and manifest.size == 32
    assert manifest.classes == [str(digit) for digit in range(10)]
    assert manifest.counts == {"train": 60, "validation": 30, "test": 40}
    train = load_split(tmp_path / "data", "train")
    np.testing.assert_allclose(manifest.mean, (train.images / 255).mean((0, 2, 3)), atol=1e-6)
    assert not (tmp_path / "raw").exists()


def test_seed_decides() -> None:
    first, second = digits.make(_config()), digits.make(_config(seed=1))
    for name in SPLITS:
        assert (first[name].images != second[name].images).any()
        assert set(first[name].factors["original"]) != set(second[name].factors["original"])
        assert (first[name].factors["angle"] != second[name].factors["angle"]).all()


def test_splits_share_no_original_and_use_all_of_them() -> None:
    splits = digits.make(_config(**STILL, train=1300, validation=400, test=500))
    pools = [set(splits[name].factors["original"].tolist()) for name in SPLITS]
    assert sum(map(len, pools)) == len(set.union(*pools)) == 1797
    assert [round(len(pool) / 1797, 2) for pool in pools] == [0.65, 0.15, 0.2]


def test_no_original_is_favoured() -> None:
    split = digits.make(_config(**STILL, validation=700))["validation"]
    assert set(np.unique(split.factors["original"], return_counts=True)[1]) == {2, 3}


def test_labels_are_those_of_the_originals_in_mixed_order() -> None:
    split = digits.make(_config(**STILL))["train"]
    np.testing.assert_array_equal(split.labels, load_digits().target[split.factors["original"]])
    assert (np.diff(split.factors["original"]) < 0).any()


def test_images_and_labels_have_the_agreed_types() -> None:
    for name, split in digits.make(_config()).items():
        assert split.images.shape == ({"train": 60, "validation": 30, "test": 40}[name], 3, 32, 32)
        assert split.images.dtype == np.uint8 and split.labels.dtype == np.int64


def test_factors_hold_their_ranges_and_fill_them() -> None:
    factors = digits.make(_config(train=500))["train"].factors
    ranges = {"x": (-5, 5), "y": (-5, 5), "size": (12, 24), "angle": (-30, 30), "brightness": (0.6, 1.0)}
    ranges |= {"stroke_hue": (0, 1), "background_hue": (0, 1)}
    assert set(factors) == {"original", *ranges}
    for name, (low, high) in ranges.items():
        values, tenth = factors[name], (high - low) / 10
        assert values.dtype == np.float32 and values.shape == (500,)
        assert low - 1e-6 <= values.min() < low + tenth and high - tenth < values.max() <= high + 1e-6


def test_without_colours_no_hue_is_recorded_and_images_are_grey() -> None:
    split = digits.make(_config(colours=False, noise=0))["train"]
    assert set(split.factors) == {"original", "x", "y", "size", "angle", "brightness"}
    assert (split.images == split.images[:, :1]).all()


class TestPlacement:
    def test_still_digit_of_its_own_size_stands_in_the_centre(self) -> None:
        """At scale 1 every pixel of the original falls on one of the canvas: rows and columns 12 to 19."""
        split = digits.make(_config(**STILL))["train"]
        expected = np.zeros((len(split), 32, 32))
        expected[:, 12:20, 12:20] = np.rint(_strokes(split) * 255)
        for channel in range(3):
            np.testing.assert_array_equal(split.images[:, channel], expected)

    def test_shift_moves_right_and_down(self) -> None:
        split = digits.make(_config(**STILL | {"shift": 8}))["train"]
        moved = _centroid(split.images[:, 0]) - _centroid(np.pad(_strokes(split), ((0, 0), (12, 12), (12, 12))))
        recorded = np.stack([split.factors["y"], split.factors["x"]])
        np.testing.assert_allclose(moved, recorded, atol=0.01)  # linear interpolation moves the centre of mass exactly

    def test_size_is_the_side_in_pixels(self) -> None:
        split = digits.make(_config(**STILL | {"size": (9, 28)}))["train"]
        grown = _spread(split.images[:, 0]) / _spread(_strokes(split))
        np.testing.assert_allclose(grown, split.factors["size"] / 8, rtol=0.05)  # interpolation blurs

    def test_angle_turns_anticlockwise(self) -> None:
        """As Pillow's rotation does, by the recorded angle."""
        split = digits.make(_config(**STILL | {"size": (24, 24), "angle": 60}))["train"]
        upright = digits.make(_config(**STILL | {"size": (24, 24)}))["train"]
        assert (split.factors["original"] == upright.factors["original"]).all()
        assert np.abs(split.factors["angle"]).max() > 50
        for image, start, angle in zip(split.images[:, 0], upright.images[:, 0], split.factors["angle"], strict=True):
            expected = np.asarray(Image.fromarray(start).rotate(float(angle), Image.Resampling.BILINEAR))
            assert np.corrcoef(image.ravel(), expected.ravel())[0, 1] > 0.97

    def test_brightness_scales_the_stroke(self) -> None:
        split = digits.make(_config(**STILL | {"brightness": (0.3, 0.9)}))["train"]
        expected = np.rint(split.factors["brightness"] * _strokes(split).max((1, 2)) * 255)
        np.testing.assert_allclose(split.images.max((1, 2, 3)), expected, atol=1)

    def test_noise_has_its_standard_deviation(self) -> None:
        """On black, clipping leaves the upper half of a normal distribution: mean sigma / sqrt(2 pi)."""
        split = digits.make(_config(**STILL | {"noise": 0.1}))["train"]
        assert split.images[..., :10, :].mean() == pytest.approx(255 * 0.1 / np.sqrt(2 * np.pi), rel=0.02)


def test_colours_are_the_recorded_hues() -> None:
    split = digits.make(_config(**STILL | {"colours": True, "brightness": (0.5, 1)}))["train"]
    strokes = _strokes(split)
    for i, image in enumerate(split.images):
        background = np.array(colorsys.hsv_to_rgb(split.factors["background_hue"][i], 1, 1)) * 0.35
        stroke = np.array(colorsys.hsv_to_rgb(split.factors["stroke_hue"][i], 1, 1)) * split.factors["brightness"][i]
        shape = np.pad(strokes[i], 12)
        expected = shape * stroke[:, None, None] + (1 - shape) * background[:, None, None]
        np.testing.assert_allclose(image, expected * 255, atol=0.51)


def _centroid(images: Any) -> Any:
    """(row, column) of the centre of mass, [2, N]."""
    weights = images / images.sum((1, 2), keepdims=True)
    rows, columns = np.indices(images.shape[1:])
    return np.stack([(weights * rows).sum((1, 2)), (weights * columns).sum((1, 2))])


def _spread(images: Any) -> Any:
    """Root mean square distance from the centre of mass, [N]."""
    weights = images / images.sum((1, 2), keepdims=True)
    rows, columns = np.indices(images.shape[1:])
    row, column = _centroid(images)[:, :, None, None]
    return np.sqrt((weights * ((rows - row) ** 2 + (columns - column) ** 2)).sum((1, 2)))
