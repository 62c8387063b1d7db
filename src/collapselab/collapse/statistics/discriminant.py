"""Scatter between images and within the views of one image: what linear discriminant analysis reads of augmented views."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.statistics.moments import Float
from collapselab.collapse.statistics.rounding import views_rounding


@dataclass(frozen=True)
class Scatters:
    """Sums of squares over `images` images with `views` views each.

    Attributes:
        between: sum over images of (m - mean)(m - mean)^T, m the mean of an image's views, [d, d].
        within: sum over images and views of (x - m)(x - m)^T, [d, d].
        rounding: variance of one coordinate that is rounding.
    """

    images: int
    views: int
    between: Float
    within: Float
    rounding: float

    @classmethod
    def of(cls, evidence: Evidence) -> Scatters | None:
        """None where images differ by no more than rounding. Raises UserError where views hold NaN or infinity."""
        groups = evidence.view_groups
        images, views = evidence.view_rows.shape[:2]
        centred = groups.means - groups.means.mean(0)
        between = centred.T @ centred
        variance = views_rounding(evidence) ** 2
        if np.trace(between) <= variance * images * len(between):
            return None
        return cls(images, views, between, groups.within, variance)


def whitened(between: Float, within: Float) -> Float:
    """Eigenvalues of within^-1/2 between within^-1/2, descending; `within` must be positive definite."""
    factor = np.linalg.cholesky(within)
    half = np.linalg.solve(factor, between)
    ratio = np.linalg.solve(factor, half.T)
    return np.asarray(np.linalg.eigvalsh((ratio + ratio.T) / 2)[::-1])


def lidar_eigenvalues(evidence: Evidence, delta: float) -> Float | None:
    """Of S_w^-1/2 S_b S_w^-1/2, S_b and S_w plain averages and delta I added to S_w (Thilak et al. 2023)."""
    found = Scatters.of(evidence)
    if found is None:
        return None
    within = found.within / (found.images * found.views)
    # Beside values as large as this, delta is lost in rounding and the sum need not be positive definite.
    within = within + max(delta, 1e-13 * float(np.trace(within))) * np.eye(len(within))
    return whitened(found.between / found.images, within).clip(min=0)
