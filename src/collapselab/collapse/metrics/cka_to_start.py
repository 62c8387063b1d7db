"""Similarity of the layer to itself at random initialisation."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.similarity import linear_cka


@metric(
    "sample",
    "start",
    spec=Spec(
        formula="||Y^T X||_F^2 / (||X^T X||_F ||Y^T Y||_F), X the layer, Y the layer at initialisation, for the same images",
        source="Kornblith et al. 2019 (arXiv 1905.00414), linear CKA in its feature-space form",
        centring="mean over images",
        range="0 to 1 (nothing but rotation and scale has changed); undefined where the spread of either is rounding",
        sees="nothing learnt (to 1)",
        blind_to="directions of low variance; unrelated features of N <= d read far above 0",
    ),
)
def cka_to_start(evidence: Evidence) -> float | None:
    assert evidence.start is not None
    return linear_cka(evidence, evidence.start, "start")
