"""How well a power law describes the spectrum: whether alpha_req means anything."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.powerlaw import PowerLaw


@metric(
    "sample",
    spec=Spec(
        formula="R^2 of alpha_req's fit, with its weights: 1 - sum w (y - fit)^2 / sum w (y - mean)^2, y = log lambda",
        source="coefficient of determination of the weighted least squares of alpha_req",
        centring="mean over images",
        range="0 to 1 (an exact power law); undefined as alpha_req is, and for a flat spectrum",
        sees="spectra that are no power law",
        blind_to="the exponent",
    ),
)
def alpha_req_fit(evidence: Evidence) -> float | None:
    found = PowerLaw.of(evidence)
    return found.fit if found else None
