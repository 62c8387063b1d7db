"""How evenly the prototypes are used over all images."""

from __future__ import annotations

import numpy as np
from scipy.special import entr

from collapselab.collapse.registry import Evidence, Spec, metric


@metric(
    "probabilities",
    spec=Spec(
        formula="h(mean p), nats; exp of it is the number of prototypes in use",
        source="Caron et al. 2021 (arXiv 2104.14294); with mean_entropy, the mutual information of image and prototype",
        range="0 (one prototype for everything) to ln K",
        blind_to="uniform collapse, where it reads ln K",
    ),
)
def marginal_entropy(evidence: Evidence) -> float | None:
    assert evidence.probabilities is not None
    p = np.asarray(evidence.probabilities, dtype=np.float64).mean(0)
    return float(entr(p / p.sum()).sum())
