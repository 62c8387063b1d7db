"""LDReg's summary of local dimension: the geometric mean over images."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.neighbours import inverse_dimensions


@metric(
    "rows",
    spec=Spec(
        formula="exp mean over images of ln m, m as in lid_mle (k = 20); about 3 % high, the price of a logarithm of an estimate",
        source="Huang et al. 2024 (LDReg, arXiv 2401.10474): the Frechet mean in the Fisher-Rao metric is geometric",
        centring="none (shift-invariant)",
        range="above 0, at least lid_mle; undefined as lid_mle is, and where one image has all its neighbours equally far",
        sees="local, dimensional",
        blind_to="complete collapse (undefined)",
        falls="down",
    ),
)
def ldreg(evidence: Evidence) -> float | None:
    found = inverse_dimensions(evidence)
    return float(np.exp(-np.log(found).mean())) if found is not None and found.min() > 1e-9 else None
