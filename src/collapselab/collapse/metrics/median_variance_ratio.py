"""variance_ratio by medians: batch norm can hide a collapse behind a few images thrown far out."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.registry import Evidence, Spec, metric


@metric(
    "views",
    spec=Spec(
        formula="median over images of ||m_i - median m||^2 over median of the variance within an image, m_i the mean of its views",
        source="variance_ratio with medians for means; not corrected for q, so read it against the same layer at step 0",
        centring="coordinatewise median over images; image mean",
        range="0 to infinity; undefined where views never differ",
        blind_to="what fewer than half of the images do",
    ),
)
def median_variance_ratio(evidence: Evidence) -> float | None:
    assert evidence.views is not None
    z = np.asarray(evidence.views, dtype=np.float64)
    means = z.mean(1)
    between = float(np.median(((means - np.median(means, 0)) ** 2).sum(1)))
    within = float(np.median(z.var(1, ddof=1).sum(1)))
    return between / within if within > 0 else None
