"""variance_ratio by medians: batch norm can hide a collapse behind a few images thrown far out."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.moments import Groups
from collapselab.collapse.statistics.rounding import views_rounding


@metric(
    "views",
    spec=Spec(
        formula="median over images of ||m_i - median m||^2 over median of the variance within an image, m_i the mean of its "
        "views; of unit vectors where the loss compares cosines alone",
        source="variance_ratio with medians for means; not corrected for q, so read it against the same layer at step 0",
        centring="coordinatewise median over images; image mean",
        range="0 to infinity; undefined where views differ by rounding only",
        sees="complete, also behind outliers; nuisance",
        blind_to="what fewer than half of the images do; depends on the augmentation",
        falls="down",
        version=2,
    ),
)
def median_variance_ratio(evidence: Evidence) -> float | None:
    groups = Groups.of_views(evidence.compared_views) if evidence.directional else evidence.view_groups
    _, views, d = evidence.view_rows.shape
    between = float(np.median(((groups.means - np.median(groups.means, 0)) ** 2).sum(1)))
    within = float(np.median(groups.spreads / (views - 1)))
    # Rounding alone also makes views differ.
    size = float(np.median(np.linalg.norm(evidence.view_rows, axis=-1))) if evidence.directional else 1.0
    return between / within if within * size**2 > d * views_rounding(evidence) ** 2 else None
