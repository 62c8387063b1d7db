"""What the collapse stage writes of gradients, from snapshots on disk."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from collapselab.collapse.measure import Measured, measure
from collapselab.collapse.output import write
from collapselab.files import read_csv, save_arrays, write_csv, write_json
from collapselab.runs import Run

DATA: Any = SimpleNamespace(factors=lambda run: {}, as_dict=dict)


@pytest.fixture
def measured(tmp_path: Path) -> Measured:
    """One run of three snapshots: its second and last hold gradients, whose noise only the last knows."""
    folder = tmp_path / "seed-3"
    config = {"guards_off": [], "config": {"method": "m"}, "backbone": {}, "supervised": False}
    write_json(folder / "config.json", config | {"snapshots": {"queries": 5}})
    write_csv(folder / "history.csv", ("step", "loss"), [(1, 0.5), (2, 0.4)])
    gradients: list[dict[str, float]] = [{}, {"norm/stem": 3.0, "norm/blocks.10": 4.0}]
    gradients.append({"norm/stem": 0.3, "norm/blocks.10": 0.4, "snr/stem": 0.25})
    rng = np.random.default_rng(0)
    for step, found in enumerate(gradients):
        arrays = {
            f"eval/clean/image/{layer}": rng.standard_normal((20, 4)) for layer in ("representation", "embedding")
        }
        about = {
            "schema": 1,
            "step": step,
            "representation": "representation",
            "loss_layers": ["embedding"],
            "weight_layers": ["stem", "blocks.10"],
        }
        arrays |= {f"gradient/{key}": np.array([value]) for key, value in found.items()}
        save_arrays(folder / "snapshots" / f"step-{step:06d}.safetensors", arrays, about)
    return measure(Run("regime", 3, folder), DATA)


def test_gradients_are_written_by_step_and_weight_layer(measured: Measured, tmp_path: Path) -> None:
    write(tmp_path / "out", {"regime": [measured]}, {"regimes": {}}, DATA)
    rows = [tuple(row.values()) for row in read_csv(tmp_path / "out" / "gradients.csv")]
    assert rows == [
        ("regime", "3", "1", "stem", "3", ""),
        ("regime", "3", "1", "blocks.10", "4", ""),
        ("regime", "3", "2", "stem", "0.3", "0.25"),
        ("regime", "3", "2", "blocks.10", "0.4", ""),
    ]


def test_the_metrics_of_a_whole_network_stand_at_its_representation(measured: Measured) -> None:
    rows = [row for row in measured.rows if row[2].startswith("gradient_")]
    assert [(*row[:3], row[4], *row[6:]) for row in rows] == [
        (1, "representation", "gradient_norm", 2, "augmented", "train"),
        (2, "representation", "gradient_norm", 2, "augmented", "train"),
        (2, "representation", "gradient_snr", 1, "augmented", "train"),
    ]
    assert [row[3] for row in rows] == pytest.approx([5, 0.5, 0.25])
