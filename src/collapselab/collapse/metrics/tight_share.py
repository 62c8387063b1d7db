"""Share of the images that lie in one tight point while the rest is thrown far out: a collapse that means can't see."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric

GAP = 10.0  # between the radius of the point and the next image
# Where distances fall off like a power law of exponent 1, the log of the gap before the k-th farthest is exponential with mean
# 1 / k (Renyi): k log gap exceeds this once in 60,000 gaps.
CHANCE = 11.0
GATHERED = 0.1  # spread of the images outside over their distance
DAMAGED = 0.015  # of the images: fewer thrown out are damaged rows, not what batch norm does to a collapse


@metric(
    "rows",
    spec=Spec(
        formula="share of images nearer to the coordinatewise median than the largest tenfold gap in their distances from it",
        source="order statistics of distances; the gap must be one that heavy tails don't have (Renyi 1953)",
        centring="coordinatewise median over images",
        range="0 (no such gap beyond half of the images) to 1",
        sees="complete collapse behind outliers",
        blind_to="collapse without outliers",
        falls="up",
    ),
)
def tight_share(evidence: Evidence) -> float | None:
    if not evidence.resolved:
        return None
    z = evidence.rows
    distance = evidence.median_distances
    far = np.sort(distance)
    rounding = 4 * evidence.epsilon * np.abs(z).mean() * z.shape[1] ** 0.5
    steps = np.diff(np.log(np.maximum(far, max(rounding, 1e-300))))
    behind = np.arange(len(z) - 1, 0, -1)  # images farther out than each step
    thrown = (behind > DAMAGED * len(z)) & (behind <= len(z) / 2)
    gaps = np.where((steps >= np.log(GAP)) & (steps * behind >= CHANCE) & thrown, steps, 0)
    if not gaps.any():
        return 0.0
    outside = z[distance > far[gaps.argmax()]]
    spread = outside.var(0).sum() ** 0.5
    # Images that gather elsewhere are another cluster, another domain or a sentinel, not thrown out.
    if spread < GATHERED * np.median(distance[distance > far[gaps.argmax()]]):
        return 0.0
    return float(1 - behind[gaps.argmax()] / len(z))
