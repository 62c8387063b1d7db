"""How many directions carry more image than view noise."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.discriminant import Scatters, whitened


@metric(
    "views",
    spec=Spec(
        formula=(
            "# eigenvalues of S_w^-1 S_b above max(1 + 1 / q, e / q), S_b and S_w unbiased, in the p directions with variance; "
            "e = ((1 + sqrt(b + c - b c)) / (1 - c))^2, b = p / (M - 1), c = p / (M (q - 1))"
        ),
        source=(
            "one-way random-effects analysis of variance: above 1 + 1 / q, (S_b - S_w / q) / S_w exceeds 1; "
            "e is the largest eigenvalue that noise alone shows (Wachter 1980, F matrices)"
        ),
        centring="mean over images; image mean",
        range="0 (only view noise) to min(M - 1, d); undefined where images differ by rounding only, and where c >= 1",
        sees="nuisance, dimensional in signal",
        blind_to="signal weaker than view noise; with few images e is large, and signal that is there does not count",
        falls="down",
    ),
)
def signal_directions(evidence: Evidence) -> float | None:
    found = Scatters.of(evidence)
    if found is None:
        return None
    between = found.between / (found.images - 1)
    within = found.within / (found.images * (found.views - 1))
    values, vectors = np.linalg.eigh(between + within)
    kept = vectors[:, values > max(found.rounding, 1e-12 * values[-1])]
    directions = kept.shape[1]
    b, c = directions / (found.images - 1), directions / (found.images * (found.views - 1))
    if directions == 0 or c >= 1:
        return None
    noise = ((1 + np.sqrt(b + c - b * c)) / (1 - c)) ** 2
    # Where views never differ any difference between images is signal: rounding stands for the noise there.
    least = max(found.rounding, 1e-12 * values[-1]) * np.eye(directions)
    ratios = whitened(kept.T @ between @ kept, kept.T @ within @ kept + least)
    return float((ratios > max(1 + 1 / found.views, noise / found.views)).sum())
