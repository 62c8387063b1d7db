"""Snapshot files -> evidence by layer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from collapselab.collapse.moments import Moments
from collapselab.collapse.registry import Evidence
from collapselab.errors import UserError
from collapselab.files import Arrays, load_about, load_arrays

SCHEMA = 1


@dataclass(frozen=True)
class Snapshot:
    """One snapshot: its step, the layer that evaluation reads, the layers that the loss acts on, evidence by layer."""

    step: int
    representation: str
    loss_layers: tuple[str, ...]
    layers: dict[str, Evidence]


def read_snapshot(path: Path) -> Snapshot:
    """Read a file that `training.snapshots` describes.

    Raises UserError where the file is missing, damaged or of another schema.
    """
    about = load_about(path)
    if about.get("schema") != SCHEMA:
        raise UserError(
            f"{path} has snapshot schema {about.get('schema')}, this version reads {SCHEMA}: run `dvc repro -f`"
        )
    arrays = load_arrays(path)
    prefix = "eval/clean/image/"
    names = sorted(key.removeprefix(prefix) for key in arrays if key.startswith(prefix))
    layers = {name: _evidence(arrays, name) for name in names}
    return Snapshot(int(about["step"]), about["representation"], tuple(about["loss_layers"]), layers)


def _evidence(arrays: Arrays, layer: str) -> Evidence:
    sample = arrays[f"eval/clean/image/{layer}"]
    position = arrays.get(f"eval/clean/position/{layer}")
    tokens = None
    if position is not None:
        second = arrays[f"eval/clean/moment/{layer}"]
        tokens = Moments.of_uncentred(len(sample) * len(position), position.mean(0), second)
    return Evidence(
        sample=sample,
        views=arrays.get(f"eval/augmented/image/{layer}"),
        probabilities=arrays.get(f"eval/clean/probability/{layer}"),
        entropies=arrays.get(f"eval/clean/entropy/{layer}"),
        tokens=tokens,
    )
