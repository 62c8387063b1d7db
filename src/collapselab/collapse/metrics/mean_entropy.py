"""How undecided the softmax is about one image."""

from __future__ import annotations

from collapselab.collapse.registry import Evidence, Spec, metric


@metric(
    "entropies",
    spec=Spec(
        formula="E over images (and tokens) of h(p), p at the method's own temperature and centre, nats",
        source="Caron et al. 2021 (arXiv 2104.14294), section 5.3 and figure 7",
        range="0 (one-hot) to ln K (uniform)",
        blind_to="whether all images say the same",
    ),
)
def mean_entropy(evidence: Evidence) -> float | None:
    assert evidence.entropies is not None
    return float(evidence.entropies.mean())
