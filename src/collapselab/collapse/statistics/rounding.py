"""What the floats can tell apart: a spread below it is rounding, and has no shape."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapselab.collapse.evidence import Evidence

ULPS = 4.0  # units in the last place that a spread must reach, as in Evidence.resolved


def rounding(evidence: Evidence) -> float:
    """Standard deviation of one coordinate below which the sample's spread is rounding."""
    return floor(evidence.moments.absolute, evidence.epsilon)


def views_rounding(evidence: Evidence) -> float:
    """The same for the views. Raises UserError where they hold NaN or infinity."""
    assert evidence.view_groups is not None  # which reads, and so checks, every value
    return floor(float(np.abs(evidence.view_rows).mean()), evidence.epsilon)


def floor(absolute: float, epsilon: float) -> float:
    """ULPS units in the last place of a mean absolute value; 0 for 0."""
    return float(ULPS * epsilon * 2.0 ** np.floor(np.log2(absolute))) if absolute > 0 else 0.0


def dead_units(evidence: Evidence) -> NDArray[Any]:
    """[d], which coordinates are constant over images, each up to the rounding of its own size."""
    moments = evidence.moments
    variance = np.diag(moments.covariance)
    size = variance + moments.mean**2
    return np.asarray(variance <= (ULPS * evidence.epsilon) ** 2 * size)


def directions_resolved(evidence: Evidence) -> bool:
    """Whether the L2-normalised vectors differ by more than rounding: vectors along one ray don't."""
    # Normalising and averaging in float64 rounds too, the more so the more images.
    return evidence.unit_moments.trace > (ULPS * max(evidence.epsilon, 1e-14)) ** 2
