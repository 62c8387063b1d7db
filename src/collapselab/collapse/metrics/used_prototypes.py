"""How many prototypes are in use over all images."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.softmax import entropy, marginal


@metric(
    "probabilities",
    spec=Spec(
        formula="exp h(mean p)",
        source="perplexity of the marginal of the softmax; marginal_entropy as a count",
        range="1 (one prototype for everything) to K",
        sees="one-hot, prototype",
        blind_to="uniform collapse, where it reads K; prototypes that duplicate each other",
        falls="down",
    ),
)
def used_prototypes(evidence: Evidence) -> float | None:
    assert evidence.probabilities is not None
    return float(np.exp(entropy(marginal(evidence.probabilities))))
