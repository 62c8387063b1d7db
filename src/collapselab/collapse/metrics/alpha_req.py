"""alpha-ReQ: the exponent of a power law through the covariance spectrum."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.powerlaw import PowerLaw


@metric(
    "sample",
    spec=Spec(
        formula="alpha of lambda_i ~ i^-alpha: least squares of log lambda on log i, weights 1 / i, i = 1 .. resolved_directions",
        source="Agrawal et al. 2022 (alpha-ReQ, NeurIPS), weights as in Stringer et al. 2019 (Nature 571)",
        centring="mean over images",
        range="0 (flat) to infinity; undefined where the spread is rounding or fewer than 3 eigenvalues stand clear of it",
        sees="dimensional",
        blind_to="complete collapse; dead directions, which the fit leaves out; any spectrum that is no power law (alpha_req_fit)",
        falls="up",
    ),
)
def alpha_req(evidence: Evidence) -> float | None:
    found = PowerLaw.of(evidence)
    return found.exponent if found else None
