"""How undecided the softmax is about one image."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.softmax import finite_mean


@metric(
    "entropies",
    spec=Spec(
        formula="E over images (and tokens) of h(p), p at the method's own temperature and centre, nats",
        source="Caron et al. 2021 (arXiv 2104.14294), section 5.3 and figure 7",
        range="0 (one-hot) to ln K (uniform)",
        sees="one-hot (to 0) against uniform (to ln K)",
        blind_to="whether all images say the same",
    ),
)
def mean_entropy(evidence: Evidence) -> float | None:
    assert evidence.entropies is not None
    return finite_mean(evidence.entropies)
