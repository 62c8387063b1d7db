"""The pipeline on a folder of images without classes: what needs labels is skipped, and told; the rest is as ever."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from collapselab.files import load_arrays
from tests.e2e.conftest import Clone, make_clone

PARAMS = """
study: photos
seeds: [0]
data: {source: folder, path: photos, size: 16, validation: 0.3, test: 0.2}
augmentations:
  crops: {view: {views: 2, crop: {scale: [0.5, 1.0]}, jitter: {brightness: 0.4}}}
backbones:
  resnet: {architecture: resnet, widths: [4, 8], blocks: [1, 1], stem_stride: 2}
training: {device: cpu, threads: 1, snapshots: {bank: 10, queries: 8, view_images: 6, views: 2, log_steps: [0, 1, 2]}}
evaluation: {knn: {k: 5}, linear_probe: {max_iterations: 50}}
regimes:
  simsiam: &on
    {method: simsiam, backbone: resnet, augmentation: crops, epochs: 2, batch_size: 16, projector: [16, 16], predictor_hidden: 4}
  simsiam-no-stop-gradient: {<<: *on, stop_gradient: false}
"""
SUPERVISED = "  labels: {method: supervised, backbone: resnet, augmentation: crop, epochs: 1, batch_size: 16}\n"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone with 80 pictures of noise in a single folder, and a study of them, reproduced."""
    clone = make_clone(tmp_path_factory.mktemp("photos"))
    (clone.root / "photos" / "all").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(80):
        pixels = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8).repeat(5, 0).repeat(5, 1)
        Image.fromarray(pixels).save(clone.root / "photos" / "all" / f"{number:02}.png")
    (clone.root / "params.yaml").write_text(PARAMS)
    clone.run("collapselab", "repro")
    return clone


def test_the_report_says_what_was_skipped_and_gives_verdicts_all_the_same(photos: Clone) -> None:
    report = photos.root / "reports/photos"
    page, text = (report / "report.html").read_text(), (report / "report.md").read_text()
    assert "The images carry no labels (fewer than two classes): k-NN and the linear probe are skipped." in page
    assert "without labels" in text and "nan" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL).lower().split()
    metrics = json.loads((report / "metrics.json").read_text())
    assert metrics["pixels"] == {"knn": None, "linear": None}
    for runs in metrics["regimes"].values():
        assert runs[0]["knn"] is None and runs[0]["linear"] is None and isinstance(runs[0]["verdict"], list)
        assert runs[0]["metrics"]["embedding"]["effective_rank"] > 1
    assert (report / "figures" / "spectra.svg").exists() and not (report / "figures" / "knn.svg").exists()


def test_no_accuracy_is_made_up(photos: Clone) -> None:
    folder = photos.root / "runs/photos"
    for name in ("knn", "linear_probe"):
        found = json.loads((folder / f"{name}.json").read_text())
        assert set(found["regimes"]["simsiam"][0]["layers"]["embedding"].values()) == {None}
        assert set(load_arrays(folder / "answers" / f"{name}.safetensors")) == {"original"}
    runs = photos.mlflow_runs()
    assert not [key for key, run in runs.items() if isinstance(run, dict) and "linear" in run["metrics"]]


def test_a_regime_that_needs_labels_is_refused_by_name(photos: Clone) -> None:
    params = photos.root / "params.yaml"
    crop = PARAMS.replace("backbones:", "  crop: {view: {crop: {scale: [0.5, 1.0]}}}\nbackbones:") + SUPERVISED
    try:
        params.write_text(crop)
        for command in (("collapselab", "repro"), ("python", "stages/download.py")):
            result = photos.run(*command, check=False)
            assert result.returncode and "Traceback" not in result.stdout
            assert (
                "regimes.labels.method = 'supervised': it trains with labels, and image folder photos" in result.stdout
            )
    finally:
        params.write_text(PARAMS)
    assert not (Path(photos.root) / "runs/photos/pretrain/labels").exists()
