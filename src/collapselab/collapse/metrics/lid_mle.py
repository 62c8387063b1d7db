"""Intrinsic dimension by maximum likelihood from 20 neighbours, one value for all images."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.neighbours import dimension


@metric(
    "rows",
    spec=Spec(
        formula="1 / mean over images of 1 / m, 1 / m = sum_{j < k} log(T_k / T_j) / (k - 1), T_j distance to neighbour j, k = 20",
        source="Levina and Bickel 2004 (NIPS 17), averaged as MacKay and Ghahramani 2005 correct it; duplicates removed",
        centring="none (shift-invariant)",
        range="above 0; undefined where the spread is rounding, with fewer than 50 distinct images, or where all are equally far",
        sees="dimensional, local",
        blind_to="complete collapse (undefined); above about 20 dimensions it reads low unless N is huge",
        falls="down",
    ),
)
def lid_mle(evidence: Evidence) -> float | None:
    return dimension(evidence)
