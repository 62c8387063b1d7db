"""Spread between images over spread between augmented views of one image."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.rounding import views_rounding

FEW = 8  # images below which chance alone makes any ratio


@metric(
    "views",
    spec=Spec(
        formula="(S_b - S_w / q) / S_w, S_b variance of the view means, S_w mean variance within an image, unbiased",
        source="one-way random-effects analysis of variance; uncorrected, the ratio floors at 1 / q",
        centring="mean over images; image mean",
        range="about 0 (only view noise) to infinity; undefined for under 8 images, and where views differ by rounding only",
        sees="nuisance, complete",
        blind_to="directions: a sum over all; depends on the augmentation",
        falls="down",
    ),
)
def variance_ratio(evidence: Evidence) -> float | None:
    groups = evidence.view_groups
    images, views, d = evidence.view_rows.shape
    if images < FEW:
        return None
    within = float(groups.spreads.sum()) / (images * (views - 1))
    between = float(groups.means.var(0, ddof=1).sum())
    # Rounding alone also makes views differ.
    if within <= d * views_rounding(evidence) ** 2:
        return None
    return float((between - within / views) / within)
