"""Image folders of every layout and mode, against pixel values known by construction."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from collapselab.config.data import Folder
from collapselab.data import folder
from collapselab.data.images import CHUNK, read_image, read_images
from collapselab.errors import UserError

SIZE = 8
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def _config(path: Path | str, **values: Any) -> Folder:
    return Folder(**{"source": "folder", "path": str(path), "size": SIZE, "validation": 0.25, "test": 0.2} | values)


def _fill(root: Path, classes: dict[str, int], first: int = 0) -> None:
    """`classes` says how many images each gets; image number n has the colour (n, label, 0), n counted from `first`."""
    number = first
    for label, (name, count) in enumerate(sorted(classes.items())):
        (root / name).mkdir(parents=True, exist_ok=True)
        for _ in range(count):
            Image.new("RGB", (SIZE, SIZE), (number, label, 0)).save(root / name / f"{number:03}.png")
            number += 1


def _numbers(split: Any) -> list[int]:
    """Which of `_fill`'s images a split holds, with images and labels checked on the way."""
    assert split.images.dtype == np.uint8 and split.labels.dtype == np.int64
    assert split.images.shape == (len(split.labels), 3, SIZE, SIZE)
    pixels = split.images[:, :, 0, 0]
    assert (split.images == pixels[:, :, None, None]).all()
    assert pixels[:, 1].tolist() == split.labels.tolist()
    return pixels[:, 0].tolist()


def _pixel(image: NDArray[np.uint8]) -> list[int]:
    assert (image == image[:, :1, :1]).all(), "not of one colour"
    return image[:, 0, 0].tolist()


class TestLayouts:
    def test_split_by_seed(self, tmp_path: Path) -> None:
        _fill(tmp_path, {"b": 10, "a": 20})
        origin, classes, splits = folder.make(_config(tmp_path))
        assert origin == f"image folder {tmp_path.name}, test images split off with seed 0"
        assert classes == ["a", "b"]
        counts = {name: np.bincount(split.labels).tolist() for name, split in splits.items()}
        assert counts == {"test": [4, 2], "validation": [4, 2], "train": [12, 6]}  # a quarter of the 16 and 8 left
        assert sorted(number for split in splits.values() for number in _numbers(split)) == list(range(30))

    def test_own_test_part(self, tmp_path: Path) -> None:
        _fill(tmp_path / "train", {"a": 8, "b": 4})
        _fill(tmp_path / "test", {"a": 2, "b": 1}, first=100)
        (tmp_path / "a").mkdir()
        origin, classes, splits = folder.make(_config(tmp_path))
        assert origin.endswith("its own train/ and test/") and classes == ["a", "b"]
        assert sorted(_numbers(splits["test"])) == [100, 101, 102]
        assert sorted(_numbers(splits["train"]) + _numbers(splits["validation"])) == list(range(12))
        assert np.bincount(splits["validation"].labels).tolist() == [2, 1]

    def test_train_without_test_is_split(self, tmp_path: Path) -> None:
        _fill(tmp_path / "train", {"a": 10, "b": 10})
        origin, classes, splits = folder.make(_config(tmp_path))
        assert "split off" in origin and classes == ["a", "b"] and len(splits["test"]) == 4

    def test_a_class_may_be_called_train(self, tmp_path: Path) -> None:
        _fill(tmp_path, {"car": 5, "test": 5, "train": 5})
        assert folder.make(_config(tmp_path))[1] == ["car", "test", "train"]

    def test_one_class_is_enough(self, tmp_path: Path) -> None:
        _fill(tmp_path, {"only": 3})
        splits = folder.make(_config(tmp_path))[2]
        assert {name: len(split) for name, split in splits.items()} == {"test": 1, "validation": 1, "train": 1}

    def test_relative_path_is_named_as_given(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        _fill(Path("my/images"), {"a": 3})
        assert folder.make(_config("my/images"))[0].startswith("image folder images,")

    def test_home_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("USERPROFILE", str(tmp_path))
        _fill(tmp_path / "images", {"a": 3})
        assert folder.make(_config("~/images"))[0].startswith("image folder images,")

    def test_others_than_images_are_passed_over(self, tmp_path: Path) -> None:
        _fill(tmp_path, {"a": 4})
        _fill(tmp_path, {".hidden": 4}, first=50)
        _fill(tmp_path / "a", {"deeper.png": 1}, first=60)
        for name in ("notes.txt", "a/notes.txt", "a/Thumbs.db", "a/.005.png", "a/no suffix"):
            (tmp_path / name).write_text("no image")
        (tmp_path / "documents").mkdir()
        _, classes, splits = folder.make(_config(tmp_path))
        assert classes == ["a"]
        assert sorted(number for split in splits.values() for number in _numbers(split)) == [0, 1, 2, 3]


class TestOrder:
    def test_independent_of_the_file_system_and_decided_by_the_seed(self, tmp_path: Path) -> None:
        _fill(tmp_path / "one", {"a": 20, "b": 20})
        for file in sorted((tmp_path / "one").rglob("*.png"), reverse=True):
            copy = tmp_path / "two" / file.relative_to(tmp_path / "one")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
        one, two, other = (
            {name: _numbers(split) for name, split in folder.make(_config(tmp_path / path, seed=seed))[2].items()}
            for path, seed in (("one", 0), ("two", 0), ("one", 1))
        )
        assert one == two
        assert all(set(one[name]) != set(other[name]) for name in one)

    def test_classes_come_mixed(self, tmp_path: Path) -> None:
        _fill(tmp_path / "train", {"a": 40, "b": 40})
        _fill(tmp_path / "test", {"a": 20, "b": 20})
        first, second = (folder.make(_config(tmp_path, seed=seed))[2] for seed in (0, 1))
        for name, split in first.items():
            assert 0.2 < split.labels[: len(split) // 2].mean() < 0.8
            assert _numbers(split) != _numbers(second[name])

    def test_many_images_keep_their_places(self, tmp_path: Path) -> None:
        _fill(tmp_path, {"a": CHUNK + 3})
        files = sorted((tmp_path / "a").iterdir())
        for threads in (1, 4):
            assert read_images(files, SIZE, threads)[:, 0, 0, 0].tolist() == list(range(CHUNK + 3))

    def test_odd_file_names(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        names: list[str | bytes] = ["a space.PNG", "[red]{x}%d.png", "-r.png", "新\n.JpEg", "'\".png", b"\xff.png"]
        for number, name in enumerate(names):
            try:
                with open(os.path.join(os.fsencode(tmp_path / "a"), os.fsencode(name)), "wb") as file:
                    Image.new("RGB", (SIZE, SIZE), (number, 0, 0)).save(file, "png")
            except OSError:  # a file system of UTF-8 names only
                assert isinstance(name, bytes)
        splits = folder.make(_config(tmp_path))[2]
        assert sum(len(split) for split in splits.values()) == len(list((tmp_path / "a").iterdir())) >= 5


class TestReading:
    def test_same_size_keeps_pixels(self, tmp_path: Path) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "x.png")
        np.testing.assert_array_equal(read_image(tmp_path / "x.png", SIZE), pixels.transpose(2, 0, 1))

    @pytest.mark.parametrize(
        ("mode", "colour", "suffix", "expected"),
        [
            ("L", 100, "png", (100, 100, 100)),
            ("1", 1, "png", WHITE),
            ("CMYK", (0, 255, 255, 0), "tif", RED),
            ("LA", (10, 255), "png", (10, 10, 10)),
            ("LA", (10, 0), "png", WHITE),
            ("RGBA", (255, 0, 0, 255), "png", RED),
            ("RGBA", (255, 0, 0, 0), "png", WHITE),
            ("RGBA", (0, 0, 0, 51), "png", (204, 204, 204)),  # a fifth of black over white
            ("I;16", 257 * 90, "png", (90, 90, 90)),
            ("I;16", 65535, "tif", WHITE),
            ("I", 257 * 90, "tif", (90, 90, 90)),
        ],
    )
    def test_modes(self, tmp_path: Path, mode: str, colour: Any, suffix: str, expected: tuple[int, ...]) -> None:
        file = tmp_path / f"x.{suffix}"
        Image.new(mode, (20, 13), colour).save(file)
        assert _pixel(read_image(file, SIZE)) == list(expected)

    @pytest.mark.parametrize(("transparency", "expected"), [(None, [10, 20, 30]), (0, [255, 255, 255])])
    def test_palette(self, tmp_path: Path, transparency: int | None, expected: list[int]) -> None:
        image = Image.new("P", (20, 20), 0)
        image.putpalette([10, 20, 30, 1, 2, 3])
        image.save(tmp_path / "x.gif", **({} if transparency is None else {"transparency": transparency}))
        assert _pixel(read_image(tmp_path / "x.gif", SIZE)) == expected

    @pytest.mark.parametrize("shape", [(48, 16), (16, 48)])
    def test_centre_square(self, tmp_path: Path, shape: tuple[int, int]) -> None:
        """Three squares in a row: the middle one remains, but for its two edges, into which the filter may reach."""
        strip = np.repeat(np.array([RED, GREEN, BLUE], dtype=np.uint8), 16, axis=0)[None].repeat(16, axis=0)
        Image.fromarray(strip if shape[0] == 48 else strip.transpose(1, 0, 2).copy()).save(tmp_path / "x.png")
        assert _pixel(read_image(tmp_path / "x.png", 16)) == list(GREEN)
        for size in (8, 24):
            assert _pixel(read_image(tmp_path / "x.png", size)[:, 2:-2, 2:-2]) == list(GREEN)

    @pytest.mark.parametrize("shape", [(40, 24), (24, 40), (24, 24)])
    def test_is_resizing_then_cropping(self, tmp_path: Path, shape: tuple[int, int]) -> None:
        """Against the two steps by Pillow, at sizes where neither has to round."""
        pixels = np.random.default_rng(1).integers(0, 256, (shape[1], shape[0], 3), dtype=np.uint8)
        image = Image.fromarray(pixels)
        image.save(tmp_path / "x.png")
        width, height = (side // 2 for side in shape)
        left, top = (width - 12) // 2, (height - 12) // 2
        resized = image.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + 12, top + 12))
        difference = read_image(tmp_path / "x.png", 12).astype(int) - np.asarray(resized).transpose(2, 0, 1)
        assert np.abs(difference).max() <= 1

    def test_shorter_side_gives_the_scale(self, tmp_path: Path) -> None:
        """A ramp of one grey a pixel: 64 columns of 32 rows to 8, so column i averages to 16 + 4 (i + 1/2) - 1/2."""
        Image.fromarray(np.tile(np.arange(64, dtype=np.uint8), (32, 1))).save(tmp_path / "x.png")
        expected = 16 + 4 * (np.arange(8) + 0.5) - 0.5
        read = read_image(tmp_path / "x.png", 8)[0].astype(float)
        np.testing.assert_allclose(read, np.tile(expected, (8, 1)), atol=0.51)  # rounding

    def test_shrinking_is_antialiased(self, tmp_path: Path) -> None:
        """A chessboard of single pixels has no frequency that an eighth of the size can hold: it turns grey."""
        board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
        Image.fromarray(board).save(tmp_path / "x.png")
        assert np.abs(read_image(tmp_path / "x.png", 8).astype(int) - 127.5).max() < 4

    def test_small_images_grow(self, tmp_path: Path) -> None:
        Image.new("RGB", (3, 5), GREEN).save(tmp_path / "x.png")
        assert _pixel(read_image(tmp_path / "x.png", SIZE)) == list(GREEN)

    @pytest.mark.parametrize(
        ("orientation", "stored"),  # how an upright RED GREEN / BLUE WHITE is stored (EXIF 2.3, tag 0x0112)
        [
            (1, [[RED, GREEN], [BLUE, WHITE]]),
            (2, [[GREEN, RED], [WHITE, BLUE]]),
            (3, [[WHITE, BLUE], [GREEN, RED]]),
            (6, [[GREEN, WHITE], [RED, BLUE]]),
            (8, [[BLUE, RED], [WHITE, GREEN]]),
        ],
    )
    def test_orientation(self, tmp_path: Path, orientation: int, stored: Any) -> None:
        pixels = np.array(stored, dtype=np.uint8).repeat(SIZE // 2, axis=0).repeat(SIZE // 2, axis=1)
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(pixels).save(tmp_path / "x.png", exif=exif)
        corners = read_image(tmp_path / "x.png", SIZE)[:, :: SIZE - 1, :: SIZE - 1].transpose(1, 2, 0)
        assert corners.tolist() == [[list(RED), list(GREEN)], [list(BLUE), list(WHITE)]]


class TestErrors:
    @pytest.mark.parametrize("kind", ["missing", "a file"])
    def test_no_folder(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "images"
        if kind == "a file":
            path.touch()
        with pytest.raises(UserError, match=r"data\.path = '.*images': no such folder; give one"):
            folder.make(_config(path))

    def test_no_images(self, tmp_path: Path) -> None:
        _fill(tmp_path / "too" / "deep", {"a": 2})
        Image.new("RGB", (8, 8)).save(tmp_path / "loose.png")
        with pytest.raises(UserError, match=r"no images found. Expected <class>/<image> .*\.jpg.* into one subfolder"):
            folder.make(_config(tmp_path))

    def test_classes_differ(self, tmp_path: Path) -> None:
        _fill(tmp_path / "train", {"a": 5, "b": 5})
        _fill(tmp_path / "test", {"b": 5, "c": 5})
        with pytest.raises(UserError, match=r"differ\. Only in train/: a; in test/: c"):
            folder.make(_config(tmp_path))

    def test_empty_test_part(self, tmp_path: Path) -> None:
        _fill(tmp_path / "train", {str(number): 1 for number in range(7)})
        (tmp_path / "test").mkdir()
        with pytest.raises(UserError, match=r"Only in train/: 0, 1, 2, 3, 4, \.\.\.; in test/: none"):
            folder.make(_config(tmp_path))

    def test_too_few_images_to_split(self, tmp_path: Path) -> None:
        _fill(tmp_path, {"many": 20, "rare": 2})
        with pytest.raises(UserError, match=r"class 'rare' has too few images to split \(2\)"):
            folder.make(_config(tmp_path))
        _fill(tmp_path, {"many": 20, "rare": 3})
        assert len(folder.make(_config(tmp_path))[1]) == 2

    @pytest.mark.parametrize("values", [{"test": 0.0}, {"validation": 0.0}, {"test": 1.0}, {"validation": 1.0}])
    def test_fractions_that_empty_a_split(self, tmp_path: Path, values: dict[str, float]) -> None:
        _fill(tmp_path, {"a": 20})
        (key, value), *_ = values.items()
        with pytest.raises(UserError, match=rf"data\.{key} = {value:g}: must lie above 0 and below 1"):
            folder.make(_config(tmp_path, **values))

    def test_test_fraction_is_not_read_beside_an_own_test_part(self, tmp_path: Path) -> None:
        _fill(tmp_path / "train", {"a": 4})
        _fill(tmp_path / "test", {"a": 1}, first=9)
        assert _numbers(folder.make(_config(tmp_path, test=0.0))[2]["test"]) == [9]

    @pytest.mark.parametrize("damage", ["text", "empty", "truncated", "float", "link"])
    def test_unreadable_image_is_named(self, tmp_path: Path, damage: str) -> None:
        _fill(tmp_path, {"a": 9})
        file = tmp_path / "a" / ("004.tif" if damage == "float" else "004.png")
        whole = (tmp_path / "a" / "004.png").read_bytes()
        (tmp_path / "a" / "004.png").unlink()
        if damage == "float":
            Image.new("F", (9, 9), 0.5).save(file)
        elif damage == "link":
            file.symlink_to(tmp_path / "nowhere.png")
        else:
            file.write_bytes({"text": b"hello", "empty": b"", "truncated": whole[: len(whole) - 25]}[damage])
        with pytest.raises(UserError, match=rf"{file} cannot be read as an image \(.+\): mend or delete it"):
            folder.make(_config(tmp_path))

    def test_first_unreadable_image_is_named_whatever_the_threads(self, tmp_path: Path) -> None:
        files = [tmp_path / f"{number}.png" for number in range(4 * CHUNK)]
        with pytest.raises(UserError, match=r"/0\.png cannot be read"):
            read_images(files, SIZE, threads=4)
