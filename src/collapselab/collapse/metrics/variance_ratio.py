"""Spread between images over spread between augmented views of one image."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.registry import Evidence, Spec, metric


@metric(
    "views",
    spec=Spec(
        formula="(S_b - S_w / q) / S_w, S_b variance of the view means, S_w mean variance within an image, unbiased",
        source="one-way random-effects analysis of variance; uncorrected, the ratio floors at 1 / q",
        centring="mean over images; image mean",
        range="about 0 (only view noise) to infinity; undefined where views never differ",
        blind_to="directions: a sum over all",
    ),
)
def variance_ratio(evidence: Evidence) -> float | None:
    assert evidence.views is not None
    z = np.asarray(evidence.views, dtype=np.float64)
    within = float(z.var(1, ddof=1).mean(0).sum())
    between = float(z.mean(1).var(0, ddof=1).sum())
    # Rounding alone also makes views differ; four float32 ulps of the features' size are no spread.
    floor = z.shape[2] * float(4 * np.finfo(np.float32).eps * np.abs(z).mean()) ** 2
    return (between - within / z.shape[1]) / within if within > floor else None
