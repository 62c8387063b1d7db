"""What a run shows of its network, as files: snapshots on the way, features of whole splits at both ends."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from collapselab.config.training import Snapshots
from collapselab.data.augment import Normalisation
from collapselab.methods.base import Method
from collapselab.training.gradients import GradientStatistics
from collapselab.training.snapshots import Probe, write_features, write_snapshot


@dataclass(frozen=True)
class Recorder:
    """Writes into `out` what the method in its present state gives.

    Attributes:
        due: the steps whose snapshot is kept.
        evaluated: the splits that evaluation reads, as (images on the method's device, labels).
    """

    out: Path
    method: Method
    normalise: Normalisation
    config: Snapshots
    due: Collection[int]
    probe: Probe
    evaluated: dict[str, tuple[Tensor, NDArray[np.int64]]]

    def snapshot(self, step: int, epoch: int, gradients: GradientStatistics) -> None:
        """Write the step's snapshot where one is due."""
        if step in self.due:
            path = self.out / "snapshots" / f"step-{step:06d}.safetensors"
            end = step in (0, max(self.due))
            write_snapshot(path, self.method, self.probe, self.normalise, self.config, step, epoch, gradients, end=end)

    def features(self, name: str, step: int) -> None:
        path = self.out / f"features-{name}.safetensors"
        write_features(path, self.method, self.evaluated, self.normalise, step)
