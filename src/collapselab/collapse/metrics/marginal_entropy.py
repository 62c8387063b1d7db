"""How evenly the prototypes are used over all images."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.softmax import entropy, marginal


@metric(
    "probabilities",
    spec=Spec(
        formula="h(mean p), nats; exp of it is the number of prototypes in use",
        source="Caron et al. 2021 (arXiv 2104.14294); with mean_entropy, the mutual information of image and prototype",
        range="0 (one prototype for everything) to ln K",
        sees="one-hot, prototype",
        blind_to="uniform collapse, where it reads ln K",
        falls="down",
    ),
)
def marginal_entropy(evidence: Evidence) -> float | None:
    assert evidence.probabilities is not None
    return float(entropy(marginal(evidence.probabilities)))
