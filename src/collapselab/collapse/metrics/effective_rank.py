"""Effective rank of Roy and Vetterli: from singular values."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.moments import entropy_rank


@metric(
    "sample",
    spec=Spec(
        formula="exp H(s / sum s), s the singular values of the centred Z",
        source="Roy and Vetterli 2007, definition 1",
        centring="mean over images",
        range="1 to min(N - 1, d); undefined where the spread is rounding noise",
        sees="dimensional",
        blind_to="cluster and local collapse",
        falls="down",
    ),
)
def effective_rank(evidence: Evidence) -> float | None:
    moments = evidence.moments
    return entropy_rank(np.sqrt(moments.eigenvalues[: evidence.ceiling])) if evidence.resolved else None
