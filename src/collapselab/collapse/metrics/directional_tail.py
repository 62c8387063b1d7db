"""The share of the directions' variance behind their drop."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric(
    "rows",
    spec=Spec(
        formula="tail_share of the covariance of (z - median z) / ||z - median z||",
        source="spatial sign covariance (Visuri, Koivunen and Oja 2000)",
        centring="coordinatewise median over images",
        normalisation="L2, each centred vector",
        range="0 to 1",
        sees="dimensional",
        blind_to="where there is no drop: it reads 0 there",
    ),
)
def directional_tail(evidence: Evidence) -> float | None:
    return evidence.directional_spectrum.tail if evidence.resolved else None
