"""How many images the softmax was taken of: no more prototypes than that can be used."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric("probabilities", spec=Spec(formula="number of images", source="count", range="1 to infinity"))
def softmax_images(evidence: Evidence) -> float | None:
    assert evidence.probabilities is not None
    return float(len(evidence.probabilities))
