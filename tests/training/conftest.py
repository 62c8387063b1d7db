"""The tiny study and its data, in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from collapselab.config.data import Digits
from collapselab.config.study import Study, load_study
from collapselab.data import digits
from collapselab.data.dataset import Manifest, Split, channel_statistics

STUDY = Path(__file__).parents[1] / "tiny.yaml"


@pytest.fixture(scope="session")
def study() -> Study:
    return load_study(STUDY)


@pytest.fixture(scope="session")
def splits(study: Study) -> dict[str, Split]:
    assert isinstance(study.data, Digits)
    return digits.make(study.data)


@pytest.fixture(scope="session")
def manifest(splits: dict[str, Split]) -> Manifest:
    mean, std = channel_statistics(splits["train"].images)
    return Manifest("digits", "test", digits.CLASSES, 32, {n: len(s) for n, s in splits.items()}, {}, mean, std)


def content(folder: Path) -> dict[str, bytes]:
    """Every file below it, by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
