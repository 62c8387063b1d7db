"""Which answers were right, as intervals read them; and what images without labels skip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from collapselab.config.evaluation import Knn, LinearProbe
from collapselab.config.study import load_study
from collapselab.data.dataset import Manifest, Split
from collapselab.errors import UserError
from collapselab.evaluation import knn, linear_probe
from collapselab.evaluation.answers import labelled, write_answers
from collapselab.evaluation.labels import check_labels
from collapselab.files import load_arrays, save_arrays, write_json
from collapselab.runs import Run

TINY = Path(__file__).parents[1] / "tiny.yaml"


def cell(folder: Path, labels: np.ndarray[Any, Any]) -> Run:
    """A run on disk whose embedding tells classes apart at the end and not at the start."""
    rng = np.random.default_rng(0)
    write_json(folder / "config.json", {"representation": "representation"})
    for moment, signal in (("initial", 0.0), ("final", 9.0)):
        arrays: dict[str, Any] = {"train/labels": labels, "test/labels": labels}
        for split in ("train", "test"):
            for layer, strength in (("representation", 0.0), ("embedding", signal)):
                arrays[f"{split}/{layer}"] = rng.standard_normal((len(labels), 4)) + strength * np.eye(4)[labels]
        save_arrays(folder / f"features-{moment}.safetensors", arrays)
    probe = {"eval/clean/image/representation": rng.standard_normal((len(labels), 4)), "labels": labels}
    probe["bank"] = (np.arange(len(labels)) % 2).astype(np.uint8)
    save_arrays(folder / "snapshots" / "step-000003.safetensors", probe, {"step": 3})
    return Run("r", 7, folder)


def test_what_is_kept_averages_to_what_is_reported(tmp_path: Path) -> None:
    labels = np.tile(np.arange(4), 20)
    run = cell(tmp_path / "run", labels)
    test = Split(np.zeros((80, 3, 2, 2), dtype=np.uint8), labels, {"original": np.arange(80) // 4})
    for judged in (knn.judge(run, Knn(k=5)), linear_probe.judge(run, LinearProbe(), None)):
        assert set(judged.right) == {f"{layer}/{at}" for layer in judged.entry["layers"] for at in ("initial", "final")}
        assert (
            judged.entry["layers"]["embedding"]["final"] > 0.95 > 0.5 > judged.entry["layers"]["embedding"]["initial"]
        )
        write_answers(tmp_path / "answers.safetensors", {"r": [judged]}, labels == 0, test)
        kept = load_arrays(tmp_path / "answers.safetensors")
        for layer, scores in judged.entry["layers"].items():
            for moment, score in scores.items():
                assert kept[f"r/7/{layer}/{moment}"].mean() == pytest.approx(score)
        assert kept["pixels"].mean() == 0.25 and kept["original"].tolist() == [place // 4 for place in range(80)]


def test_a_single_class_is_no_label_and_nothing_is_asked_of_it(tmp_path: Path) -> None:
    labels = np.zeros(40, dtype=np.int64)
    assert not labelled(labels) and not labelled(labels[:0]) and labelled(np.array([3, 3, 4]))
    run = cell(tmp_path / "run", labels)
    for judged in (knn.judge(run, Knn(k=5)), linear_probe.judge(run, LinearProbe(), None)):
        assert judged.right == {}
        assert judged.entry["layers"]["representation"] == {"initial": None, "final": None}
    found = knn.judge(run, Knn(k=5)).entry
    assert (found["curve"], found["best"], found["k"]) == ([], None, None)


def test_a_supervised_regime_needs_two_classes() -> None:
    study = load_study(TINY)
    manifest = Manifest("folder", "image folder photos", ["all"], 32, {}, {}, [], [])
    with pytest.raises(
        UserError, match=r"regimes\.supervised\.method = 'supervised': it trains with labels, and image fo"
    ):
        check_labels(study, manifest)
    check_labels(study, Manifest("folder", "image folder photos", ["a", "b"], 32, {}, {}, [], []))
