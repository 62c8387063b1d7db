"""The drop in the spectrum of the features' directions: outliers can't feign it."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric(
    "rows",
    spec=Spec(
        formula="spectral_drop of the covariance of (z - median z) / ||z - median z||",
        source="spatial sign covariance (Visuri, Koivunen and Oja 2000), whose spectrum no outlier can lengthen",
        centring="coordinatewise median over images",
        normalisation="L2, each centred vector",
        range="0 to infinity, natural log",
        sees="dimensional",
        blind_to="directions that few images use",
        falls="up",
    ),
)
def directional_drop(evidence: Evidence) -> float | None:
    return evidence.directional_spectrum.drop if evidence.resolved else None
