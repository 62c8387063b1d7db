"""Snapshot files -> evidence by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.token_sums import TokenSums
from collapselab.errors import UserError
from collapselab.files import Arrays, load_about, load_arrays

SCHEMA = 1
# Methods whose loss compares cosines alone; a test holds the list to the losses.
DIRECTIONAL = ("byol", "directclr", "moco_v3", "simclr", "simsiam")


@dataclass(frozen=True)
class Snapshot:
    """One snapshot: its step, the layer that evaluation reads, the layers that the loss acts on, evidence by layer."""

    step: int
    representation: str
    loss_layers: tuple[str, ...]
    layers: dict[str, Evidence]

    def of_cosines(self) -> Snapshot:
        """The same of a network whose loss compares cosines alone."""
        layers = {name: replace(found, directional=name in self.loss_layers) for name, found in self.layers.items()}
        return replace(self, layers=layers)

    def beside(self, start: Snapshot) -> Snapshot:
        """The same with each layer's features at initialisation, and the representation's, in its evidence (CKA)."""
        base = self.layers.get(self.representation)
        layers = {
            name: replace(
                evidence,
                start=_same_images(evidence, start.layers.get(name)),
                base=None if name == self.representation else _same_images(evidence, base),
            )
            for name, evidence in self.layers.items()
        }
        return replace(self, layers=layers)


def _same_images(evidence: Evidence, other: Evidence | None) -> Any:
    return other.sample if other is not None and len(other.sample) == len(evidence.sample) else None


def is_snapshot(about: dict[str, Any]) -> bool:
    """Whether the metadata of a safetensors file is a snapshot's."""
    return {"schema", "step", "representation", "loss_layers"} <= set(about)


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
    if not names or about["representation"] not in names:
        raise UserError(f"{path} holds no features of the layer {about['representation']}: it is no whole snapshot")
    layers = {name: _evidence(arrays, name) for name in names}
    weights = about.get("weight_layers", [])  # features that came from elsewhere have none
    layers[about["representation"]] = replace(
        layers[about["representation"]],
        gradient_norms=_gradients(arrays, "norm", weights),
        gradient_snrs=_gradients(arrays, "snr", weights),
    )
    snapshot = Snapshot(int(about["step"]), about["representation"], tuple(about["loss_layers"]), layers)
    return snapshot.of_cosines() if about.get("method") in DIRECTIONAL else snapshot


def _gradients(arrays: Arrays, what: str, layers: Sequence[str]) -> dict[str, float] | None:
    """Weight layer -> value, in the network's order; None where no layer has one."""
    found = {layer: arrays.get(f"gradient/{what}/{layer}") for layer in layers}
    return {layer: float(value[0]) for layer, value in found.items() if value is not None} or None


def _evidence(arrays: Arrays, layer: str) -> Evidence:
    def seen(token: str, view: str = "clean", of: str = layer) -> Any:
        return arrays.get(f"eval/{view}/{token}/{of}")

    sample, position = seen("image"), seen("position")
    tokens = None
    if position is not None:
        second = seen("moment")
        tokens = TokenSums(np.asarray(sample, dtype=np.float64), position, float(np.trace(second)), second)
    teacher = None
    if layer.startswith("student."):
        teacher = seen("probability", of=layer.replace("student.", "teacher.", 1))
    return Evidence(
        sample=sample,
        views=seen("image", "augmented"),
        labels=arrays.get("labels"),
        probabilities=seen("probability"),
        entropies=seen("entropy"),
        tokens=tokens,
        position_probabilities=seen("probability-position"),
        teacher=teacher,
    )
