"""Our side: a cell of one of the studies on images that are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench.manifests import manifest_of

from collapselab.config.study import load_study
from collapselab.data.dataset import Manifest, Split
from collapselab.training.cell import Cell

STUDIES = Path(__file__).parents[2] / "studies"
STEPS = 100_000  # more than any comparison takes
PROBE = 16  # validation images


def cell(
    regime: str, images: np.ndarray, name: str = "notebook", device: str = "cpu", **changed: Any
) -> tuple[Cell, dict[str, Split], Manifest]:
    """What run_cell takes, for images [N, 32, 32, 3] uint8: no snapshot between the first step and the last.

    Args:
        name: of the study.
        changed: settings of the regime; on a GPU it is compiled and runs in bfloat16.
    """
    study = load_study(STUDIES / f"{name}.yaml")
    pixels = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    labels = np.arange(len(pixels)) % 10
    config = study.regimes[regime].model_copy(update=changed)
    epochs = STEPS // (len(pixels) // config.batch_size)
    snapshots = study.training.snapshots.model_copy(
        update={
            "bank": PROBE // 2,
            "queries": PROBE // 2,
            "view_images": 2,
            "log_steps": [0],
            "epoch_interval": epochs,
            "tokens": None,
        }
    )
    study = study.model_copy(
        update={
            "training": study.training.model_copy(
                update={
                    "snapshots": snapshots,
                    "autocast": "bfloat16" if device == "cuda" else None,
                    "compile": device == "cuda",
                }
            ),
            "regimes": {regime: config.model_copy(update={"epochs": epochs})},
        }
    )
    splits = {"train": Split(pixels, labels)}
    splits |= {name: Split(pixels[:PROBE], labels[:PROBE]) for name in ("validation", "test")}
    return Cell(study, regime, 42, torch.device(device)), splits, manifest_of("cifar10", splits)
