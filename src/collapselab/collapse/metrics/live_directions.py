"""How many directions stand before the steepest drop of the spectrum."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric(
    "sample",
    spec=Spec(
        formula="# eigenvalues before the steepest drop (spectral_drop) if it is fivefold; else all that stand clear of rounding",
        source="the drop in figure 2 of Jing et al. 2022 (arXiv 2110.09348), located",
        centring="mean over images",
        range="0 to min(N - 1, d); undefined where the spread is rounding",
        sees="dimensional",
        blind_to="spectra that fall off without a drop",
        falls="down",
    ),
)
def live_directions(evidence: Evidence) -> float | None:
    return float(evidence.spectrum.alive) if evidence.resolved else None
