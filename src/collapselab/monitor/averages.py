"""Moments within batches, averaged over steps: sums on the device, evidence on the host.

Each batch is centred by its own mean before its products are averaged. Features that are pooled over steps come from different
encoders, whose means differ; pooled, they seem to fill directions that no single encoder fills. An encoder that turns within
the window still mixes its axes, so the window is short.

Precision: differences and products in float32 (TF32 where the user has switched it on for matrix products), sums of scalars in
float64, in float32 on devices that have none. Directions below some 1e-7 of the largest variance are not told from rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from collapselab.collapse.evidence import SAFE, Evidence
from collapselab.collapse.statistics.moments import Float, Moments

# What a float32 product and its running sum leave below the largest eigenvalue; rounding of random signs stays under it.
PRODUCT = 4 * float(np.finfo(np.float32).eps)
SUMMED = 1e4  # batches whose products the sums must hold
SUMS = ("scatter", "mean", "offset", "absolute", "unit_variance", "images", "batches", "batches_squared")


def scalars(device: torch.device) -> torch.dtype:
    """The type in which scalars are summed: MPS has no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def fold(sums: Mapping[str, Tensor], z: Tensor, keep: float) -> Tensor:
    """Add one batch to the running sums, in place: `sum <- keep * sum + the batch's own`.

    Args:
        sums: by the names of SUMS; scatter [d, d], mean [d], unit_variance [d], the others scalars.
        z: [N, d] float32, one batch. One with NaN or infinity changes nothing, nor does one whose products would overflow.
        keep: share of the sums that a step leaves, 0 (the last batch alone) to below 1.

    Returns:
        Whether the batch was taken, a scalar on the device: nothing here waits for it.
    """
    good = torch.isfinite(z.square().sum() * SUMMED)
    z = torch.where(good, z, 0.0)
    taken, left = good.to(z.dtype), torch.where(good, keep, 1.0)
    centred, mean = _centred(z)
    unit, _ = _centred(torch.nn.functional.normalize(z, dim=1))
    n, dtype = len(z), sums["images"].dtype
    sums["scatter"].mul_(left.to(z.dtype)).addmm_(centred.T, centred)
    own = {
        "mean": n * mean,
        "offset": n * mean.to(dtype).square().sum(),
        "absolute": n * z.abs().mean().to(dtype),
        "unit_variance": unit.square().sum(0),
        "images": n * taken.to(dtype),
        "batches": taken.to(dtype),
    }
    for name, value in own.items():
        sums[name].mul_(left.to(value.dtype)).add_(value)
    sums["batches_squared"].mul_(left.to(dtype).square()).add_(taken.to(dtype))
    return good


def _centred(z: Tensor) -> tuple[Tensor, Tensor]:
    """z less its mean, and the mean. From the first row on: a sum of many equal numbers rounds, and a constant would vary."""
    away = z - z[0]
    shift = away.mean(0)
    return away - shift, z[0] + shift


@dataclass(frozen=True)
class Averaged(Evidence):
    """Evidence whose moments are averages over batches: only metrics of moments may read it, those in METRICS.

    `sample` has the right width and no content. `within`: the averaged moments of the features; `unit_within`: those of the
    L2-normalised ones, their diagonal alone; `degrees`: effective number of differences between images; `spacing`: relative
    spacing of the stored floats.
    """

    within: Moments | None = None
    unit_within: Moments | None = None
    degrees: int = 1
    spacing: float = float(np.finfo(np.float32).eps)

    @classmethod
    def of(cls, sums: Mapping[str, Tensor], spacing: float) -> Averaged:
        """From running sums of at least one batch."""
        host: dict[str, Float] = {name: value.detach().cpu().double().numpy() for name, value in sums.items()}
        images, batches = float(host["images"]), float(host["batches"])
        effective = batches**2 / float(host["batches_squared"])
        degrees = max(1, int(effective * (images / batches - 1) + 1e-6))
        count = degrees + 1
        mean = host["mean"] / images
        # Means of different encoders partly cancel in their average; the length of a typical one is kept.
        length, typical = float(np.linalg.norm(mean)), float(np.sqrt(host["offset"] / images))
        mean = mean * (typical / length) if length > 0 else mean
        moments = Moments(count, mean, host["scatter"] * (count / images), float(host["absolute"] / images))
        unit = Moments(count, np.zeros_like(mean), np.diag(host["unit_variance"] * (count / images)), 1.0)
        return cls(
            np.zeros((2, len(mean)), np.float32), within=moments, unit_within=unit, degrees=degrees, spacing=spacing
        )

    @cached_property
    def moments(self) -> Moments:
        assert self.within is not None
        return self.within

    @cached_property
    def unit_moments(self) -> Moments:
        assert self.unit_within is not None
        return self.unit_within

    @cached_property
    def distinct(self) -> int:
        return self.degrees + 1

    @cached_property
    def epsilon(self) -> float:
        return self.spacing

    @cached_property
    def rounding_variance(self) -> float:
        """Of the stored floats and, where that is more, of the float32 products."""
        moments = self.moments
        stored = (self.spacing * 2.0 ** np.floor(np.log2(moments.absolute))) ** 2 / 12 if moments.absolute > 0 else 0.0
        return float(max(stored, PRODUCT * moments.eigenvalues[0] / SAFE))


METRICS = (
    "dead_dimensions",
    "effective_rank",
    "inverse_sqrt_dim",
    "live_directions",
    "log_trace",
    "mean_share",
    "mean_squared_norm",
    "normalised_std",
    "participation_ratio",
    "rank_ceiling",
    "rank_to_power_law",
    "redundancy",
    "resolution",
    "resolved_directions",
    "spectral_drop",
    "spectral_entropy_rank",
)
