"""How far the gradients of successive steps agree, against how they scatter."""

from __future__ import annotations

from statistics import median

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric(
    "gradient_snrs",
    spec=Spec(
        formula=(
            "median over weight layers of max(0, ||E g||^2 - r E ||g||^2) / (E ||g||^2 - ||E g||^2), g a layer's gradient of the "
            "loss, E an average over steps (decay .9), r the share of the variance that E g keeps (1/19 at last)"
        ),
        source=(
            "inverse of the simple noise scale tr(Sigma) / |G|^2 of one batch (McCandlish et al. 2018, arXiv 1812.06162); by layer "
            "over training as in Shwartz-Ziv and Tishby 2017 (arXiv 1703.00810); averages corrected for their start"
        ),
        centring="the noise is about E g, the average over steps, whose own noise is taken from the signal",
        normalisation="by the noise: no unit, and the same whatever the scale of the loss",
        epsilon=1e-4,
        range=(
            "0 to 1e4; undefined for a layer whose noise is below epsilon times E ||g||^2 (at step 1, or where gradients are 0), "
            "and where that leaves no layer"
        ),
        sees="the cause: nothing consistent left to learn (to 0), or one direction that every batch pushes (up)",
        blind_to=(
            "what the weights' drift does: it counts as noise; the size of the gradient; it grows with the batch size, and at the "
            "first steps it is an average over few"
        ),
    ),
)
def gradient_snr(evidence: Evidence) -> float | None:
    assert evidence.gradient_snrs is not None
    return float(median(evidence.gradient_snrs.values()))
