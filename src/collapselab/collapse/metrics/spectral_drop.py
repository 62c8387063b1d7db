"""How far the log spectrum falls at its steepest place, beyond what a healthy power law falls."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric(
    "sample",
    spec=Spec(
        formula=(
            "max over i and widths w (1, 2, 4 .. 5 % of the directions, 25 % of 32 and more with 4 times the images) of "
            "ln lambda_i - ln lambda_{i+w} - 3 ln((i + w) / i), at least a tenth of the directions behind it"
        ),
        source="the drop in figure 2 of Jing et al. 2022 (arXiv 2110.09348); healthy spectra fall no faster than i^-2.7",
        centring="mean over images",
        range="0 (no drop) to infinity, natural log; undefined where the spread is rounding",
        sees="dimensional",
        blind_to="spectra that fall off without a drop; directions below rounding (resolved_directions)",
        falls="up",
    ),
)
def spectral_drop(evidence: Evidence) -> float | None:
    return evidence.spectrum.drop if evidence.resolved else None
