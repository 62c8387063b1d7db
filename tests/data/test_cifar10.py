"""CIFAR-10 from each kind of copy, on a miniature of four training and two test images a class."""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image

from collapselab.config.data import Cifar10
from collapselab.data import cifar10
from collapselab.errors import UserError

TRAIN, TEST = 4, 2


@pytest.fixture(autouse=True)
def miniature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "PER_CLASS", {"train": TRAIN, "test": TEST})


@pytest.fixture
def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    def download_url(*arguments: Any, **keywords: Any) -> None:
        raise AssertionError("a local copy must do without a download")

    _replace_download(monkeypatch, download_url)


def _replace_download(monkeypatch: pytest.MonkeyPatch, download_url: Any) -> None:
    """In the place of torchvision's: importing the real one takes seconds."""
    module = ModuleType("torchvision.datasets.utils")
    module.download_url = download_url  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision.datasets.utils", module)


def _image(number: int) -> np.ndarray[Any, Any]:
    """[3, 32, 32]: no two images, channels or orientations of it agree."""
    ramp = np.arange(3 * 32 * 32, dtype=np.int64).reshape(3, 32, 32)
    return ((ramp * 7 + number * 1009) % 251).astype(np.uint8)


def _batches() -> dict[str, bytes]:
    """Five batches of 8 training images, one of 20 test images; image `number` has label number % 10."""
    records = [bytes([number % 10]) + _image(number).tobytes() for number in range(10 * (TRAIN + TEST))]
    files = {f"data_batch_{i + 1}.bin": b"".join(records[8 * i : 8 * i + 8]) for i in range(5)}
    return files | {"test_batch.bin": b"".join(records[40:])}


def _archive(raw: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes] | None = None) -> bytes:
    """Write an archive as the published one is laid out, and make its md5 the expected one."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        folder = tarfile.TarInfo("cifar-10-batches-bin")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, content in (files or _batches()).items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    raw.mkdir(parents=True, exist_ok=True)
    (raw / cifar10.ARCHIVE).write_bytes(buffer.getvalue())
    monkeypatch.setattr(cifar10, "MD5", hashlib.md5(buffer.getvalue()).hexdigest())
    return buffer.getvalue()


def _folder(root: Path) -> None:
    """The same images as PNG files, which keep their pixels."""
    for number in range(10 * (TRAIN + TEST)):
        part = "train" if number < 10 * TRAIN else "test"
        path = root / part / cifar10.CLASSES[number % 10] / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(_image(number).transpose(1, 2, 0)).save(path)


def _config(**values: Any) -> Cifar10:
    return Cifar10(**{"source": "cifar10", "validation": 10} | values)


def _numbers(split: Any) -> list[int]:
    """Which miniature images a split holds, with their labels checked on the way."""
    known = {_image(number).tobytes(): number for number in range(10 * (TRAIN + TEST))}
    numbers = [known[image.tobytes()] for image in split.images]
    assert [number % 10 for number in numbers] == split.labels.tolist()
    assert split.images.dtype == np.uint8 and split.labels.dtype == np.int64
    return numbers


def test_expected_checksum_is_the_published_one() -> None:
    assert cifar10.MD5 == "c32a1d4ab5d03f1284b67883e8d87530"  # https://www.cs.toronto.edu/~kriz/cifar.html


@pytest.mark.usefixtures("no_download")
class TestLocalCopies:
    def test_archive(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        _archive(tmp_path, monkeypatch)
        origin, classes, splits = cifar10.make(_config(), tmp_path)
        assert origin == f"original binary archive, md5 {cifar10.MD5}"
        assert classes[0] == "airplane" and classes[9] == "truck" and len(classes) == 10
        train, validation, test = (_numbers(splits[name]) for name in ("train", "validation", "test"))
        assert sorted(train + validation) == list(range(40))
        assert test == list(range(40, 60))
        assert np.bincount(splits["validation"].labels).tolist() == [1] * 10

    def test_archive_comes_before_other_copies(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        _archive(tmp_path, monkeypatch)
        _folder(tmp_path)
        assert cifar10.make(_config(), tmp_path)[0].startswith("original binary archive")

    def test_unpacked_archive(self, tmp_path: Path) -> None:
        (tmp_path / cifar10.UNPACKED).mkdir()
        for name, content in _batches().items():
            (tmp_path / cifar10.UNPACKED / name).write_bytes(content)
        origin, _, splits = cifar10.make(_config(), tmp_path)
        assert cifar10.UNPACKED in origin and "not verified" in origin
        assert _numbers(splits["test"]) == list(range(40, 60))

    @pytest.mark.parametrize("nested", ["", "cifar10-png"])
    def test_image_folder(self, tmp_path: Path, nested: str) -> None:
        raw = tmp_path / "cifar10"
        _folder(raw / nested)
        (raw / ".hidden" / "train").mkdir(parents=True)
        origin, _, splits = cifar10.make(_config(), raw)
        assert origin == f"image folder {Path('cifar10', nested)} (re-encoded images, not the published bytes)"
        assert sorted(_numbers(splits["train"]) + _numbers(splits["validation"])) == list(range(40))
        assert sorted(_numbers(splits["test"])) == list(range(40, 60))

    def test_image_folder_is_named_as_given(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        _folder(Path("data/raw/cifar10"))
        assert cifar10.make(_config(), Path("data/raw/cifar10"))[0].startswith("image folder data/raw/cifar10 (")

    def test_image_folder_comes_mixed_for_readers_of_the_first_images(self, tmp_path: Path) -> None:
        _folder(tmp_path)
        labels = cifar10.make(_config(validation=20), tmp_path)[2]["validation"].labels
        assert len(set(labels[:10].tolist())) > 5  # sorted by class, the first ten of two each would show five
        first, second = (cifar10.make(_config(seed=seed), tmp_path)[2]["test"].labels.tolist() for seed in (0, 1))
        assert first != second

    def test_two_image_folders_are_ambiguous(self, tmp_path: Path) -> None:
        _folder(tmp_path / "one")
        _folder(tmp_path / "two")
        with pytest.raises(UserError, match=r"more than one image folder .*one, .*two"):
            cifar10.make(_config(), tmp_path)

    def test_other_classes_are_refused(self, tmp_path: Path) -> None:
        _folder(tmp_path)
        (tmp_path / "train" / "cat").rename(tmp_path / "train" / "kitten")
        with pytest.raises(UserError, match=r"train has images of the classes .*kitten.*; expected airplane"):
            cifar10.make(_config(), tmp_path)

    def test_incomplete_image_folder(self, tmp_path: Path) -> None:
        _folder(tmp_path)
        next((tmp_path / "train" / "dog").iterdir()).unlink()
        with pytest.raises(UserError, match=r"incomplete: train images a class \[4, 4, 4, 4, 4, 3, 4, 4, 4, 4\]"):
            cifar10.make(_config(), tmp_path)

    def test_image_folder_without_test_part(self, tmp_path: Path) -> None:
        _folder(tmp_path)
        (tmp_path / "test").rename(tmp_path / "elsewhere")
        with pytest.raises(UserError, match=r"test has images of the classes \(none\)"):
            cifar10.make(_config(), tmp_path)

    def test_truncated_archive(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = _archive(tmp_path, monkeypatch)
        (tmp_path / cifar10.ARCHIVE).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(UserError, match=r"cifar-10-binary.tar.gz is damaged .*delete it"):
            cifar10.make(_config(), tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [cifar10.ARCHIVE]

    @pytest.mark.parametrize(
        ("content", "message"),
        [(None, "is missing or empty"), (b"", "is missing or empty"), (b"\0" * 3000, "within an image")],
    )
    def test_damaged_batch(self, tmp_path: Path, content: bytes | None, message: str) -> None:
        (tmp_path / cifar10.UNPACKED).mkdir()
        files = _batches() | {"data_batch_3.bin": content}
        for name, data in files.items():
            if data is not None:
                (tmp_path / cifar10.UNPACKED / name).write_bytes(data)
        with pytest.raises(UserError, match=f"data_batch_3.bin .*{message}"):
            cifar10.make(_config(), tmp_path)

    @pytest.mark.parametrize("label", [3, 200])
    def test_wrong_labels(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, label: int) -> None:
        files = _batches()
        files["test_batch.bin"] = bytes([label]) + files["test_batch.bin"][1:]
        _archive(tmp_path, monkeypatch, files)
        with pytest.raises(UserError, match="incomplete: test images a class"):
            cifar10.make(_config(), tmp_path)

    @pytest.mark.parametrize("name", ["cifar-10-python.tar.gz", "cifar-10-batches-py"])
    def test_pickles_are_refused(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).touch()
        with pytest.raises(UserError, match=rf"{name} holds pickles.*put the binary archive"):
            cifar10.make(_config(), tmp_path)

    def test_pickles_do_not_hide_an_image_folder(self, tmp_path: Path) -> None:
        _folder(tmp_path)
        (tmp_path / "cifar-10-python.tar.gz").touch()
        assert cifar10.make(_config(), tmp_path)[0].startswith("image folder")


@pytest.mark.usefixtures("no_download")
class TestCounts:
    def test_reduced_balanced_and_apart(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        _archive(tmp_path, monkeypatch)
        splits = cifar10.make(_config(train=20, test=10), tmp_path)[2]
        train, validation, test = (_numbers(splits[name]) for name in ("train", "validation", "test"))
        assert not set(train) & set(validation)
        for numbers, each in ((train, 2), (validation, 1), (test, 1)):
            assert sorted(number % 10 for number in numbers) == sorted([*range(10)] * each)

    def test_seed_decides(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        _archive(tmp_path, monkeypatch)

        def chosen(**values: Any) -> list[list[int]]:
            return [_numbers(split) for split in cifar10.make(_config(**values), tmp_path)[2].values()]

        assert chosen(train=20, test=10) == chosen(train=20, test=10)
        assert all(a != b for a, b in zip(chosen(train=20, test=10), chosen(train=20, test=10, seed=1), strict=True))

    def test_a_smaller_training_part_leaves_the_others_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _archive(tmp_path, monkeypatch)
        full, small = (cifar10.make(_config(train=train), tmp_path)[2] for train in (None, 10))
        assert set(_numbers(small["train"])) < set(_numbers(full["train"]))
        for name in ("validation", "test"):
            assert _numbers(small[name]) == _numbers(full[name])

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"validation": 40}, r"data\.validation = 40: allowed are 1 to 39"),
            ({"train": 31}, r"data\.train = 31 and data\.validation = 10: together 41; allowed are the 40"),
            ({"test": 21}, r"data\.test = 21: allowed are 1 to 20"),
        ],
    )
    def test_impossible_counts_fail_before_anything_is_read(
        self, tmp_path: Path, values: dict[str, int], message: str
    ) -> None:
        with pytest.raises(UserError, match=message):
            cifar10.make(_config(**values), tmp_path / "nothing here")

    def test_largest_possible_counts(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        _archive(tmp_path, monkeypatch)
        splits = cifar10.make(_config(train=30, validation=10, test=20), tmp_path)[2]
        assert [len(split) for split in splits.values()] == [30, 10, 20]


class TestDownload:
    def test_fetches_the_published_archive(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        content = _archive(tmp_path / "made elsewhere", monkeypatch)
        asked = SimpleNamespace()

        def download_url(url: str, root: str, filename: str, md5: str) -> None:
            asked.url, asked.md5 = url, md5
            Path(root).mkdir(parents=True)
            (Path(root) / filename).write_bytes(content)
            print("99 %", file=sys.stderr)

        _replace_download(monkeypatch, download_url)
        raw = tmp_path / "data" / "cifar10"
        origin, _, splits = cifar10.make(_config(), raw)
        assert asked.url == "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz" and asked.md5 == cifar10.MD5
        assert origin.startswith("original binary archive") and _numbers(splits["test"]) == list(range(40, 60))
        assert [path.name for path in raw.iterdir()] == [cifar10.ARCHIVE]

    def test_is_quiet_when_piped(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.test_fetches_the_published_archive(tmp_path, monkeypatch)
        assert capsys.readouterr().err == ""

    @pytest.mark.parametrize(
        "failure",
        [URLError("no such host"), TimeoutError("timed out"), RuntimeError("File not found or corrupted.")],
    )
    def test_failure_names_what_was_tried_and_the_ways_forward(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
    ) -> None:
        def download_url(url: str, root: str, filename: str, md5: str) -> None:
            (Path(root) / filename).write_bytes(b"half")
            raise failure

        _replace_download(monkeypatch, download_url)
        with pytest.raises(UserError) as caught:
            cifar10.make(_config(), tmp_path)
        message = str(caught.value)
        for part in (cifar10.URL, str(failure), str(tmp_path / cifar10.ARCHIVE), cifar10.UNPACKED, "<class>"):
            assert part in message
        assert "make repro STUDY=quick" in message
        assert list(tmp_path.iterdir()) == []

    def test_interrupt_leaves_nothing_half_written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def download_url(url: str, root: str, filename: str, md5: str) -> None:
            (Path(root) / filename).write_bytes(b"half")
            raise KeyboardInterrupt

        _replace_download(monkeypatch, download_url)
        with pytest.raises(KeyboardInterrupt):
            cifar10.make(_config(), tmp_path)
        assert list(tmp_path.iterdir()) == []
