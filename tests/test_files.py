"""Files: whole or not at all, byte-stable, never a pickle."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from collapselab.errors import UserError
from collapselab.files import (
    load_about,
    load_arrays,
    read_csv,
    read_json,
    save_arrays,
    write_bytes,
    write_csv,
    write_json,
)


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "result.json"
    write_bytes(path, b"old")

    def refuse(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UserError, match=r"cannot write .*result\.json: No space left on device\. Free some space"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_an_interrupted_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(tmp_path / "result.json", b"new")
    assert list(tmp_path.iterdir()) == []


def test_arrays_come_back_with_what_is_said_about_them(tmp_path: Path) -> None:
    arrays = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.array([1, 2], dtype=np.int64)}
    save_arrays(tmp_path / "x.safetensors", arrays, {"step": 3})
    loaded = load_arrays(tmp_path / "x.safetensors")
    assert set(loaded) == {"a", "b"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].dtype == array.dtype
    assert load_about(tmp_path / "x.safetensors") == {"step": 3}


def test_arrays_are_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np; from pathlib import Path; from collapselab.files import save_arrays; "
        "save_arrays(Path(sys.argv[1]), {f'k{i}': np.ones(i) for i in range(1, 9)}, {f'm{i}': i for i in range(9)})"
    )
    for seed in ("1", "2", "3"):
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / seed)], env=os.environ | {"PYTHONHASHSEED": seed}, check=True
        )
    assert len({(tmp_path / seed).read_bytes() for seed in ("1", "2", "3")}) == 1


@pytest.mark.parametrize("read", [read_json, read_csv, load_arrays, load_about])
def test_a_missing_file_is_named_with_the_way_to_make_it(tmp_path: Path, read) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError, match=r"gone is missing: run `dvc repro`"):
        read(tmp_path / "gone")


@pytest.mark.parametrize("read", [read_json, load_arrays, load_about])
def test_a_damaged_file_is_named(tmp_path: Path, read) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "bad").write_bytes(b"\x00\xff not what it should be")
    with pytest.raises(UserError, match="bad"):
        read(tmp_path / "bad")


def test_tables_and_json_round_trip_and_nan_is_refused(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", ["a", "b"], [[1, "x,y"], [2, 'q"']])
    assert read_csv(tmp_path / "t.csv") == [{"a": "1", "b": "x,y"}, {"a": "2", "b": 'q"'}]
    write_json(tmp_path / "t.json", {"z": 1, "a": [1.5, None]})
    assert (tmp_path / "t.json").read_text().endswith("}\n")
    assert read_json(tmp_path / "t.json") == {"z": 1, "a": [1.5, None]}
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "nan.json", float("nan"))
