"""How large the gradients are that training follows."""

from __future__ import annotations

from math import fsum, sqrt

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric(
    "gradient_norms",
    spec=Spec(
        formula="sqrt(sum over weight layers of E ||g||^2), g a layer's gradient of the loss, E an average over steps (decay .9)",
        source=(
            "per-layer norms as in Glorot and Bengio 2010; the average as Adam's second moment (Kingma and Ba 2015, "
            "arXiv 1412.6980), of the whole norm and corrected for its start"
        ),
        centring="none: about 0, so it holds the noise of single batches too",
        range="0 to infinity; undefined at initialisation",
        sees="the cause: gradients that vanish, as in a saturated softmax, or blow up",
        blind_to=(
            "whether training has arrived or is stuck; what the optimiser makes of it (weight decay, Adam's rescaling); it scales "
            "with the loss and against the weights before a normalisation; entries below 1e-19 count as 0 in float32"
        ),
    ),
)
def gradient_norm(evidence: Evidence) -> float | None:
    assert evidence.gradient_norms is not None
    return sqrt(fsum(norm**2 for norm in evidence.gradient_norms.values()))
