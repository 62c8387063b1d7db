"""TwoNN: intrinsic dimension from the two nearest neighbours of each image."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.neighbours import nearest

LEAST = 10  # distinct images


@metric(
    "rows",
    spec=Spec(
        formula="N / sum log(r_2 / r_1), r the distances to the two nearest of the distinct others",
        source="Facco et al. 2017 (Scientific Reports 7, 12140), by maximum likelihood, no outliers cut",
        centring="none (shift-invariant)",
        range="above 0; undefined where the spread is rounding, with fewer than 10 distinct images, or where all are equally far",
        sees="dimensional, local",
        blind_to="complete collapse (undefined); above about 20 dimensions it reads low unless N is huge",
        falls="down",
    ),
)
def two_nn(evidence: Evidence) -> float | None:
    found = nearest(evidence, 2, LEAST)
    if found is None:
        return None
    total = float(np.log(found[:, 1] / found[:, 0]).sum())
    return len(found) / total if total > 1e-9 else None
