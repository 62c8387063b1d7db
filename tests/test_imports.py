"""The import budget: what the stages that run often may not load. Seconds each, on every run."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torchvision", "timm", "sklearn", "mlflow", "matplotlib", "torch", "torchmetrics", "lightning")

BUDGET = {
    "stages/pretrain.py": {"torch"},
    "stages/knn.py": {"torch"},
    "stages/collapse.py": {"torch"},
    "stages/linear_probe.py": {"sklearn"},
    "stages/report.py": {"matplotlib"},
    "stages/track.py": set(),
}


@pytest.mark.parametrize("stage", sorted(BUDGET))
def test_a_stage_loads_no_more_than_its_budget(stage: str) -> None:
    # Everything that the stage imports at its top, and the study that it validates.
    code = (
        f"import runpy, sys; sys.path.insert(0, 'stages'); runpy.run_path({stage!r}, run_name='imported')\n"
        "if 'pretrain' in sys.argv[1]:\n"
        "    from collapselab.config.study import load_study; load_study(__import__('pathlib').Path('tests/tiny.yaml'))\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code, stage], stdout=subprocess.PIPE, text=True, check=True)
    loaded = set(eval(result.stdout.splitlines()[-1]))
    assert loaded <= BUDGET[stage]
