"""The data folder: what is written comes back, and what was tampered with is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from collapselab.data.dataset import (
    SPLITS,
    Split,
    channel_statistics,
    load_manifest,
    load_split,
    save_dataset,
    stratified,
)
from collapselab.errors import UserError

LABELS = st.lists(st.integers(0, 5), max_size=60).map(lambda values: np.array(values, dtype=np.int64))


def _split(count: int, seed: int) -> Split:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 3, 4, 4), dtype=np.uint8)
    return Split(images, rng.integers(0, 2, count), {"angle": rng.random(count, dtype=np.float32)})


@pytest.fixture
def splits() -> dict[str, Split]:
    return {name: _split(5 + seed, seed) for seed, name in enumerate(SPLITS)}


@pytest.fixture
def saved(tmp_path: Path, splits: dict[str, Split]) -> Path:
    save_dataset(tmp_path / "data", "digits", "a test", ["no", "yes"], splits)
    return tmp_path / "data"


@pytest.mark.parametrize("name", SPLITS)
def test_split_comes_back(saved: Path, splits: dict[str, Split], name: str) -> None:
    split = load_split(saved, name)
    assert len(split) == len(splits[name])
    for got, wanted in (
        (split.images, splits[name].images),
        (split.labels, splits[name].labels),
        (split.factors["angle"], splits[name].factors["angle"]),
    ):
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)
    assert list(split.factors) == ["angle"]


def test_manifest_says_what_is_there(saved: Path, splits: dict[str, Split]) -> None:
    manifest = load_manifest(saved)
    assert (manifest.source, manifest.origin, manifest.classes) == ("digits", "a test", ["no", "yes"])
    assert manifest.size == 4 and manifest.counts == {"train": 5, "validation": 6, "test": 7}
    for name in SPLITS:
        assert manifest.sha256[name] == hashlib.sha256((saved / f"{name}.safetensors").read_bytes()).hexdigest()
    assert (manifest.mean, manifest.std) == channel_statistics(splits["train"].images)


def test_saving_twice_gives_the_same_bytes(saved: Path, splits: dict[str, Split], tmp_path: Path) -> None:
    save_dataset(tmp_path / "again", "digits", "a test", ["no", "yes"], splits)
    files = sorted(path.name for path in saved.iterdir())
    assert files == sorted(["manifest.json", *(f"{name}.safetensors" for name in SPLITS)])
    for name in files:
        assert (saved / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_subset_keeps_images_labels_and_factors_together(splits: dict[str, Split]) -> None:
    split = splits["train"]
    part = split.subset(np.array([3, 1]))
    np.testing.assert_array_equal(part.images, split.images[[3, 1]])
    np.testing.assert_array_equal(part.labels, split.labels[[3, 1]])
    np.testing.assert_array_equal(part.factors["angle"], split.factors["angle"][[3, 1]])


def test_pixels_are_rows_from_0_to_1(splits: dict[str, Split]) -> None:
    split = splits["train"]
    pixels = split.pixels()
    assert pixels.shape == (5, 48) and pixels.dtype == np.float32
    np.testing.assert_allclose(pixels[3, 16:32], split.images[3, 1].ravel() / 255, rtol=1e-6)


class TestRefusals:
    def test_another_file_than_the_manifest_names(self, saved: Path) -> None:
        path = saved / "train.safetensors"
        content = bytearray(path.read_bytes())
        content[-1] ^= 1  # still a sound safetensors file, one bit of one value changed
        path.write_bytes(bytes(content))
        with pytest.raises(UserError, match=r"train\.safetensors is not the file that .*manifest\.json describes"):
            load_split(saved, "train")
        load_split(saved, "test")

    def test_truncated_file(self, saved: Path) -> None:
        path = saved / "test.safetensors"
        path.write_bytes(path.read_bytes()[:-10])
        with pytest.raises(UserError, match=r"test\.safetensors cannot be read"):
            load_split(saved, "test")

    @pytest.mark.parametrize("name", ["manifest.json", "train.safetensors"])
    def test_missing_file(self, saved: Path, name: str) -> None:
        (saved / name).unlink()
        with pytest.raises(UserError, match=f"{name} is missing: run `dvc repro`"):
            load_split(saved, "train")

    def test_manifest_of_another_version(self, saved: Path) -> None:
        raw = json.loads((saved / "manifest.json").read_text())
        (saved / "manifest.json").write_text(json.dumps(raw | {"schema": 0}))
        with pytest.raises(UserError, match="has schema 0, this version reads 1"):
            load_manifest(saved)


class TestChannelStatistics:
    @pytest.mark.parametrize("seed", range(3))
    def test_agrees_with_numpy(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        images = rng.integers(0, rng.integers(2, 257), (11, 3, 7, 5), dtype=np.uint8)
        mean, std = channel_statistics(images)
        np.testing.assert_allclose(mean, (images / 255).mean((0, 2, 3)), atol=5.1e-7)  # six digits
        np.testing.assert_allclose(std, (images / 255).std((0, 2, 3)), atol=5.1e-7)

    def test_known_values(self) -> None:
        images = np.zeros((2, 3, 2, 2), dtype=np.uint8)
        images[:, 1] = 255
        images[0, 2] = 255
        assert channel_statistics(images) == ([0.0, 1.0, 0.5], [0.0, 0.0, 0.5])

    @given(st.integers(0, 255))
    def test_one_colour_has_no_deviation(self, level: int) -> None:
        images = np.full((3, 1, 5, 5), level, dtype=np.uint8)
        assert channel_statistics(images) == ([round(level / 255, 6)], [0.0])


class TestStratified:
    @given(LABELS, st.integers(0, 70), st.integers(0, 99))
    def test_parts_are_whole_apart_and_ascending(self, labels: NDArray[np.int64], count: int, seed: int) -> None:
        chosen, rest = stratified(labels, count, np.random.default_rng(seed))
        assert len(chosen) == min(count, len(labels))
        assert sorted([*chosen, *rest]) == list(range(len(labels)))
        assert (np.diff(chosen) > 0).all() and (np.diff(rest) > 0).all()

    @given(LABELS, st.integers(0, 70), st.integers(0, 99))
    def test_even_as_far_as_classes_allow(self, labels: NDArray[np.int64], count: int, seed: int) -> None:
        chosen, rest = stratified(labels, count, np.random.default_rng(seed))
        taken, left = (np.bincount(labels[rows], minlength=6) for rows in (chosen, rest))
        assert (taken[left > 0] >= taken.max() - 1).all()  # only a class that is used up falls further behind

    @given(LABELS, st.integers(0, 70), st.integers(0, 99))
    def test_a_larger_choice_holds_the_smaller(self, labels: NDArray[np.int64], count: int, seed: int) -> None:
        smaller, _ = stratified(labels, count, np.random.default_rng(seed))
        larger, _ = stratified(labels, count + 1, np.random.default_rng(seed))
        assert set(smaller) <= set(larger)

    def test_the_generator_decides(self) -> None:
        labels = np.arange(400) % 4
        draws = [stratified(labels, 40, np.random.default_rng(seed))[0].tolist() for seed in (0, 0, 1)]
        assert draws[0] == draws[1] != draws[2]

    def test_every_row_and_class_has_the_same_chance(self) -> None:
        """One of 3 classes x 2 rows, 600 times: each row about 100 times (standard deviation 9)."""
        labels = np.array([0, 0, 1, 1, 2, 2])
        rng = np.random.default_rng(0)
        counts = np.bincount([stratified(labels, 1, rng)[0][0] for _ in range(600)], minlength=6)
        assert np.abs(counts - 100).max() < 40
