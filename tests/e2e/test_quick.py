"""What the README says of the default study, on a run of it: minutes, so before a release only."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from statistics import fmean

import pytest

from tests.e2e.conftest import ROOT, make_clone

BUDGET_MB = 400  # of runs/quick

VERDICTS = {
    "notebook-both": ["one-hot"],
    "simsiam": [],
    "simsiam-no-stop-gradient": ["complete"],
    "simclr": [],
    "vicreg": [],
    "vicreg-no-variance": ["complete"],
    "supervised": [],
}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_default_study_shows_what_the_readme_says(tmp_path: Path) -> None:
    clone = make_clone(tmp_path)
    shutil.copyfile(ROOT / "studies" / "quick.yaml", tmp_path / "params.yaml")
    clone.run("collapselab", "repro")
    metrics = json.loads((tmp_path / "reports/quick/metrics.json").read_text())
    regimes = metrics["regimes"]
    for regime, verdict in VERDICTS.items():
        assert [run["verdict"] for run in regimes[regime]] == [verdict] * 2, regime
    gain = {name: fmean(run["knn"] - run["knn_init"] for run in runs) for name, runs in regimes.items()}
    assert all(gain[name] > 0.10 for name in ("simclr", "vicreg", "supervised"))
    assert fmean(run["knn"] for run in regimes["simclr"]) > metrics["pixels"]["knn"]
    size = sum(path.stat().st_size for path in (tmp_path / "runs/quick").rglob("*") if path.is_file())
    assert size < BUDGET_MB * 1e6
