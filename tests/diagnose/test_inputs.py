"""What can be wrong with an input: one message that names it and the fix, exit code 2, nothing written."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from tests.diagnose.conftest import Array, Result, Run, flat, gaussian, snapshot, views_of

from collapselab.diagnose.arrays import open_file
from collapselab.errors import UserError
from collapselab.files import load_about, load_arrays, save_arrays

Npy = Callable[[str, Array], Path]


def refused(result: Result, *parts: object) -> None:
    assert result.code == 2, result.out + result.err
    assert result.out == ""
    assert result.err.startswith("error: ") and result.err.count("\n") == 1 and "Traceback" not in result.err
    for part in parts:
        assert str(part) in result.err, result.err


def with_bad(value: float) -> Array:
    array = gaussian()
    array[17, 3] = value
    return array


BAD_FEATURES = {
    "one-dimensional": (np.zeros(5), "[images, dimensions]"),
    "three-dimensional": (np.zeros((5, 4, 3)), "--tokens FILE"),
    "maps": (np.zeros((5, 4, 3, 3)), "x.mean((2, 3))"),
    "five-dimensional": (np.zeros((2, 2, 2, 2, 2)), "[images, dimensions]"),
    "a-number": (np.array(3.0), "a single number"),
    "complex": (gaussian().astype(complex), "real numbers"),
    "text": (np.array([["a", "b"], ["c", "d"]]), "holds text"),
    "booleans": (np.ones((5, 4), dtype=bool), "real numbers"),
    "one-row": (np.zeros((1, 4)), "one vector"),
    "no-row": (np.zeros((0, 4)), "is empty"),
    "no-column": (np.zeros((4, 0)), "is empty"),
    "nan": (with_bad(np.nan), "row 17 holds NaN or infinity (1 of 300 rows do)"),
    "infinity": (with_bad(-np.inf), "row 17 holds NaN or infinity"),
}


@pytest.mark.parametrize("case", BAD_FEATURES)
def test_features_that_are_none(run: Run, npy: Npy, case: str) -> None:
    array, message = BAD_FEATURES[case]
    path = npy(case, array)
    refused(
        run("diagnose", path, "--html", path.with_name("out.html"), "--plot", path.with_name("out.svg")), path, message
    )
    assert sorted(entry.name for entry in path.parent.iterdir()) == [path.name]


SIDES: dict[str, tuple[str, Any, str]] = {
    "too few labels": ("labels", np.arange(7), "one for each of the 300 images"),
    "labels of two columns": ("labels", np.zeros((300, 2)), "one for each of the 300 images"),
    "labels that are no classes": ("labels", np.linspace(0, 1, 300), "whole numbers or names"),
    "flat views": ("views", gaussian(), "[images, views, dimensions]"),
    "views of another layer": ("views", views_of(gaussian(20, 8), 1.0), "8 dimensions"),
    "one view": ("views", gaussian()[:, None], "two or more"),
    "views with NaN": ("views", np.full((5, 2, 16), np.nan), "row 0 holds NaN"),
    "views of text": ("views", np.full((5, 2, 16), "a"), "holds text"),
    "logits": ("probabilities", gaussian(), "not its input"),
    "softmax that sums to 2": ("probabilities", np.full((300, 4), 0.5), "sum to"),
    "one column": ("probabilities", np.ones((300, 1)), "two or more"),
    "flat tokens": ("tokens", gaussian(), "[images, positions, dimensions]"),
    "one position": ("tokens", gaussian()[:, None], "two or more"),
    "prototypes of one row": ("prototypes", np.ones((1, 8)), "two or more"),
}


@pytest.mark.parametrize("case", SIDES)
def test_options_files_that_do_not_fit(run: Run, npy: Npy, case: str) -> None:
    name, array, message = SIDES[case]
    path = npy("given", array)
    refused(run("diagnose", npy("features", gaussian()), f"--{name}", path), path, message)


def test_prototypes_and_probabilities_of_different_heads(run: Run, npy: Npy) -> None:
    p, weights = npy("p", np.full((300, 8), 1 / 8)), npy("w", gaussian(9, 16))
    refused(
        run("diagnose", npy("f", gaussian()), "--probabilities", p, "--prototypes", weights),
        "9 prototypes",
        "8 columns",
    )


def test_files_that_are_none(run: Run, tmp_path: Path) -> None:
    whole = tmp_path / "whole.npy"
    np.save(whole, gaussian())
    cases: dict[str, tuple[bytes, str]] = {
        "truncated.npy": (whole.read_bytes()[:-100], "truncated or damaged"),
        "header.npy": (whole.read_bytes()[:20], "truncated or damaged"),
        "empty.npy": (b"", "is empty"),
        "pickled.npy": (b"\x80\x04K\x01.", "is no .npy file"),
        "damaged.npz": (b"PK\x03\x04 and nothing", "truncated or damaged"),
        "renamed.npz": (whole.read_bytes(), "is no .npz file"),
        "damaged.safetensors": (b"\x10\x00\x00\x00\x00\x00\x00\x00{}", "no safetensors file"),
        "model.pt": (b"\x80", "never loaded, a pickle can run code; save the tensor as .npy or .safetensors: np.save("),
        "features.pkl": (
            b"\x80",
            "never loaded, a pickle can run code; save the array as .npy or .safetensors: np.save(",
        ),
        "features.csv": (b"1,2", "files of type .csv are not read"),
        "features": (b"1,2", "files without a suffix are not read"),
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        refused(run("diagnose", tmp_path / name), tmp_path / name, message)
    np.save(tmp_path / "objects.npy", np.array([{}, []], dtype=object), allow_pickle=True)
    refused(run("diagnose", tmp_path / "objects.npy"), "objects.npy", "holds Python objects")
    np.savez(tmp_path / "objects.npz", features=np.array([{}, []], dtype=object))
    refused(run("diagnose", tmp_path / "objects.npz"), "objects.npz", "only a pickle could give it")
    refused(run("diagnose", tmp_path / "absent.npy"), "absent.npy is missing")
    refused(run("diagnose", tmp_path / "absent"), "absent is missing")
    np.save(tmp_path / "wide.npy", np.zeros((4, 9000), np.float32))
    refused(run("diagnose", tmp_path / "wide.npy"), "wide.npy has 9000 dimensions, more than 8192")
    np.savez(tmp_path / "beside.npz", features=gaussian())
    with zipfile.ZipFile(tmp_path / "beside.npz", "a") as archive:
        archive.writestr("readme.txt", "features of the last epoch")
    assert run("diagnose", tmp_path / "beside.npz").code == 0
    refused(run("diagnose"), "nothing to diagnose")


def test_folders(run: Run, tmp_path: Path, runs: tuple[Path, Path]) -> None:
    (tmp_path / "nothing").mkdir()
    refused(run("diagnose", tmp_path / "nothing"), "nothing holds no snapshots")
    refused(run("diagnose", runs[0].parent), "seed-0")
    refused(run("diagnose", *runs), "--reference")


def test_snapshots_that_are_no_run(run: Run, npy: Npy, tmp_path: Path) -> None:
    layers = {"representation": gaussian()}
    one, two = (snapshot(tmp_path / f"{name}.safetensors", 5, layers) for name in ("one", "two"))
    refused(run("diagnose", one, two), "two snapshots are of step 5", "--reference")
    other = snapshot(tmp_path / "other.safetensors", 6, {"elsewhere": gaussian()}, "elsewhere")
    refused(run("diagnose", one, other), "different networks")
    refused(run("diagnose", one, npy("bare", gaussian())), "others are plain arrays")
    refused(run("diagnose", one, "--layer", "representatoin"), "did you mean `representation`")
    both = snapshot(tmp_path / "both.safetensors", 6, layers | {"embedding": gaussian()})
    for about in ({"step": "late"}, {"loss_layers": 3}, {"representation": ["representation"]}):
        odd = snapshot(tmp_path / "odd.safetensors", 6, layers)
        save_arrays(odd, load_arrays(odd), load_about(odd) | about)
        refused(run("diagnose", odd), odd, "no whole snapshot")
    views = npy("v", views_of(gaussian(), 1.0))
    refused(run("diagnose", both, "--views", views), "--views belongs to one layer", "embedding, representation")
    assert run("diagnose", both, "--layer", "embedding", "--views", views).code == 0


def test_files_with_several_arrays(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "layers.npz"
    np.savez(path, early=gaussian(300, 8), late=flat(300), steps=np.arange(3))
    refused(run("diagnose", path), "early (300, 8)", "late (300, 16)", "--layer NAME")
    refused(run("diagnose", path, "--layer", "latte"), "did you mean `late`")
    assert run("diagnose", path, "--layer", "late", "--json").json["verdicts"] == {"late": ["dimensional"]}
    np.savez(path, one=gaussian(), labels=np.arange(300) % 3, steps=np.arange(3))
    found = run("diagnose", path, "--json").json
    assert "nc1" in found["metrics"] and found["verdicts"] == {"layers": []}
    np.save(tmp_path / "single.npy", gaussian())
    refused(run("diagnose", tmp_path / "single.npy", "--layer", "x"), "leave --layer out")


def test_names_that_are_known_in_a_file(run: Run, tmp_path: Path) -> None:
    p = np.full((300, 8), 1 / 8)
    arrays = {
        "embeddings": gaussian(),
        "labels": np.array(["cat", "dog", "owl"])[np.arange(300) % 3],
        "views": views_of(gaussian(), 0.5),
        "probabilities": p,
        "tokens": gaussian(40 * 5, 16).reshape(40, 5, 16),
        "prototypes": gaussian(8, 16),
    }
    np.savez(tmp_path / "all.npz", **arrays)
    found = run("diagnose", tmp_path / "all.npz", "--json").json
    assert set(found["undetermined"]) == {"complete", "norm"}
    assert found["verdict"] == ["uniform"]
    labels = tmp_path / "labels.npy"
    np.save(labels, np.arange(300))
    refused(run("diagnose", tmp_path / "all.npz", "--labels", tmp_path / "all.npz", "--views", labels), "views are")


def test_labels_that_only_a_pickle_could_give_are_left_out_and_said_to_be(run: Run, tmp_path: Path) -> None:
    path, plain = tmp_path / "objects.npz", tmp_path / "labels.npy"
    names = np.array(["cat", "dog", "owl"])[np.arange(300) % 3]
    np.savez(path, features=gaussian(), labels=names.astype(object))
    found = run("diagnose", path, "--json").json
    assert any("labels in" in told and "left out" in told for told in found["warnings"])
    assert "nc1" not in found["metrics"]
    np.save(plain, names)
    found = run("diagnose", path, "--labels", plain, "--json").json
    assert "nc1" in found["metrics"] and not any("left out" in told for told in found["warnings"])


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux alone")
def test_a_files_name_may_be_no_text(run: Run, tmp_path: Path) -> None:
    path, page, plot = (tmp_path / os.fsdecode(b"na\xefve" + end) for end in (b".npy", b".html", b".svg"))
    np.save(path, flat())
    assert run("diagnose", path, "--html", page, "--plot", plot).code == 0
    assert "na\ufffdve" in page.read_text() and plot.exists()
    assert run("diagnose", path, "--json").json["verdicts"] == {"na\ufffdve": ["dimensional"]}


def test_safetensors_with_half_precision(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    exact = np.round(gaussian() * 16) / 16  # bfloat16 holds these
    header = {"features": {"dtype": "BF16", "shape": [300, 16], "data_offsets": [0, 300 * 16 * 2]}}
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    exact = (exact.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + (exact.view(np.uint32) >> 16).astype("<u2").tobytes())
    assert np.array_equal(open_file(path).arrays["features"], exact)
    assert run("diagnose", path).code == 0
    save_file({"features": gaussian().astype(np.float16), "labels": np.arange(300) % 3}, path)
    assert run("diagnose", path, "--json").json["n"] == 300


def test_large_files_stay_on_disk(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", gaussian())
    save_file({"features": gaussian()}, tmp_path / "a.safetensors")
    for path in (tmp_path / "a.npy", tmp_path / "a.safetensors"):
        (array,) = open_file(path).arrays.values()
        assert isinstance(array, np.memmap) and np.array_equal(array, gaussian())


def test_two_files_of_one_name(run: Run, npy: Npy, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    np.save(tmp_path / "other" / "f.npy", gaussian())
    refused(run("diagnose", npy("f", gaussian()), tmp_path / "other" / "f.npy"), "two files are called f")


def test_outputs_that_can_not_be_written(run: Run, npy: Npy, tmp_path: Path) -> None:
    features = npy("f", gaussian())
    before = features.read_bytes()
    refused(run("diagnose", features, "--plot", features), "must end in .svg")
    refused(run("diagnose", features, "--html", tmp_path / "page"), "must end in .html")
    (tmp_path / "d.html").mkdir()
    refused(run("diagnose", features, "--html", tmp_path / "d.html"), "is a folder")
    refused(run("diagnose", features, "--html", features / "out.html"), "can't be written to")
    assert features.read_bytes() == before


def test_history_and_thresholds_that_are_none(run: Run, npy: Npy, tmp_path: Path) -> None:
    features = npy("f", gaussian())
    for content, message in (
        ("", "column `loss`"),
        ("step\n1\n", "its columns: step"),
        ("loss\n1\nx\n", "line 3: loss = 'x'"),
    ):
        (tmp_path / "h.csv").write_text(content)
        refused(run("diagnose", features, "--history", tmp_path / "h.csv"), "h.csv", message)
    refused(run("diagnose", features, "--history", tmp_path / "absent.csv"), "absent.csv is missing")
    (tmp_path / "t.yaml").write_text("cluster/withn: {none: 1, full: 2}\n")
    refused(run("diagnose", features, "--thresholds", tmp_path / "t.yaml"), "did you mean `cluster/within`")


def test_a_reference_that_is_none(run: Run, npy: Npy, tmp_path: Path) -> None:
    refused(run("diagnose", npy("f", gaussian()), "--reference", tmp_path / "absent.npy"), "absent.npy is missing")
    refused(run("diagnose", npy("f", gaussian()), "--reference", npy("bad", with_bad(np.nan))), "bad.npy: row 17")


def test_the_message_is_the_exception_of_the_library(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder"):
        open_file(tmp_path)
