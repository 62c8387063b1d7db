"""Alignment: how far two views of one image lie apart on the sphere. To be read beside uniformity."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.moments import unit_rows


@metric(
    "views",
    spec=Spec(
        formula="E ||u - v||^2 over pairs of different views of one image",
        source="Wang and Isola 2020 (arXiv 2005.10242), alpha = 2",
        normalisation="L2, each vector; zero vectors stay zero",
        range="0 (views agree) to 4 (two antipodes); 2 for unrelated directions; undefined where all are 0",
        sees="nuisance",
        blind_to="complete collapse, where it reads 0, its best: a pair says nothing about other images",
        falls="up",
    ),
)
def alignment(evidence: Evidence) -> float | None:
    groups = evidence.view_groups
    if not groups.spreads.any() and not groups.means.any():
        return None
    # The mean squared distance of pairs is twice the unbiased variance.
    return float(2 * unit_rows(evidence.view_rows).var(1, ddof=1).sum(1).mean())
