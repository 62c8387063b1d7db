"""The ceiling of both softmax entropies, and the loss of a head that says nothing."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric("probabilities", spec=Spec(formula="ln K", source="entropy of the uniform distribution over K prototypes"))
def log_k(evidence: Evidence) -> float | None:
    assert evidence.probabilities is not None
    return float(np.log(evidence.probabilities.shape[1]))
