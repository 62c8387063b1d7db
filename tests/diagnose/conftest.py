"""The command in this process, and small files to give it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from collapselab import cli
from collapselab.files import save_arrays

RNG = np.random.default_rng
Array = NDArray[Any]


@dataclass(frozen=True)
class Result:
    """What a call left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        assert self.code in (0, 1), self.err
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`run("diagnose", path, "--json")`; intervals are left out unless --draws asks for them: they take the time."""

    def call(*arguments: object) -> Result:
        words = [str(argument) for argument in arguments]
        if words[0] == "diagnose" and "--draws" not in words:
            words += ["--draws", "0"]
        monkeypatch.setattr("sys.argv", ["collapselab", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return Result(int(ended.value.code or 0), printed.out, printed.err)

    return call


@pytest.fixture
def npy(tmp_path: Path) -> Callable[[str, Array], Path]:
    """`npy("features", array)` -> the file."""

    def write(name: str, array: Array) -> Path:
        path = tmp_path / f"{name}.npy"
        np.save(path, array)
        return path

    return write


def gaussian(count: int = 300, dimensions: int = 16, seed: int = 0) -> Array:
    return RNG(seed).standard_normal((count, dimensions)).astype(np.float32)


def flat(count: int = 600, rank: int = 6, dimensions: int = 16) -> Array:
    """Features of which `dimensions - rank` directions are dead."""
    return (gaussian(count, rank) @ gaussian(rank, dimensions, seed=1)).astype(np.float32)


def views_of(features: Array, noise: float, seed: int = 2) -> Array:
    shape = (len(features), 4, features.shape[1])
    return (features[:, None] + noise * RNG(seed).standard_normal(shape)).astype(np.float32)


def snapshot(path: Path, step: int, layers: dict[str, Array], representation: str = "representation") -> Path:
    """A snapshot as training writes it, with labels and with views of every layer."""
    arrays: dict[str, Array] = {"labels": np.arange(len(layers[representation])) % 3}
    for name, features in layers.items():
        arrays[f"eval/clean/image/{name}"] = features
        arrays[f"eval/augmented/image/{name}"] = views_of(features[:50], 0.3 * float(features.std()))
    about = {"schema": 1, "step": step, "representation": representation, "loss_layers": ["embedding"]}
    save_arrays(path, arrays, about)
    return path


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs of three snapshots from the same start: the first loses directions of its embedding, the second does not."""
    folders = []
    for name, dead_from in (("lost", 1), ("kept", 9)):
        folder = tmp_path / name / "seed-0"
        for place, step in enumerate((0, 10, 20)):
            embedding = flat(300, 6, 16) if place >= dead_from else gaussian(300, 16, seed=3)
            layers = {"representation": gaussian(300, 24, seed=4), "embedding": embedding}
            snapshot(folder / "snapshots" / f"step-{step:06d}.safetensors", step, layers)
        folders.append(folder)
    return folders[0], folders[1]
