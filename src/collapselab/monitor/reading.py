"""A reading: some images of one batch, brought to the host without waiting for the device, as evidence."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.timing.detector import WATCHED
from collapselab.randomness import generator

# What the detector watches of images, their views and their softmax, and the median that severities of `complete` read.
METRICS = (*(name for name in WATCHED if not name.startswith("token")), "median_variance_ratio")


class Choice:
    """Which images and channels readings look at: a seeded choice where there are more, the same at every step."""

    def __init__(self, images: int, channels: int) -> None:
        self.images, self.channels = images, channels
        self._kept: dict[tuple[str, int, int, torch.device], Tensor] = {}

    def rows(self, z: Tensor) -> Tensor:
        """At most `images` rows of z [N, ...]."""
        return z if len(z) <= self.images else z[self._index("images", len(z), self.images, z.device)]

    def block(self, z: Tensor) -> Tensor:
        """At most `images` rows and `channels` columns of z [N, d], float32, detached."""
        z = self.rows(z.detach())
        d = z.shape[1]
        if d > self.channels:
            z = z[:, self._index("channels", d, self.channels, z.device)]
        return z.float()

    def _index(self, what: str, count: int, most: int, device: torch.device) -> Tensor:
        key = (what, count, most, device)
        if key not in self._kept:
            chosen = np.sort(generator(0, f"monitor/{what}", count).choice(count, most, replace=False))
            self._kept[key] = torch.from_numpy(chosen).to(device)
        return self._kept[key]


@dataclass
class Reading:
    """Parts of one batch on their way to the host: "sample", and where they were given "view" and "probabilities"."""

    step: int
    parts: dict[str, Tensor]
    _arrived: torch.cuda.Event | None = field(default=None, repr=False)

    @classmethod
    def of(cls, step: int, parts: dict[str, Tensor]) -> Reading:
        """Start the copies. On CUDA they go into pinned memory behind the work that is queued already."""
        held = {name: _copied(part) for name, part in parts.items()}
        if not any(part.is_cuda for part in parts.values()):
            return cls(step, held)
        arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        arrived.record()
        return cls(step, held, arrived)

    @property
    def immediate(self) -> bool:
        """Whether the copies are there already."""
        return self._arrived is None

    def evidence(self) -> tuple[Evidence | None, list[str]]:
        """Evidence of the finite parts, None where "sample" is not; and the names of parts that hold NaN or infinity."""
        if self._arrived is not None:
            self._arrived.synchronize()
        found = {name: part.numpy() for name, part in self.parts.items()}
        unread = [name for name, part in found.items() if not np.isfinite(part).all()]
        if "sample" in unread:
            return None, unread
        readable = {name: part for name, part in found.items() if name not in unread}
        views = np.stack([readable["sample"], readable["view"]], 1) if "view" in readable else None
        return Evidence(readable["sample"], views=views, probabilities=readable.get("probabilities")), unread


def _copied(part: Tensor) -> Tensor:
    # A batch on the CPU may be written over by its owner before it is read.
    return part.clone() if part.device.type == "cpu" else part.to("cpu", non_blocking=part.is_cuda)
