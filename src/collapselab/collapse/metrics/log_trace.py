"""Total variance on an absolute scale: what a rank can't see."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric(
    "sample",
    spec=Spec(
        formula="ln tr(cov)",
        source="Jing et al. 2022 (arXiv 2110.09348), figure 2: natural log; kept on an absolute scale",
        centring="mean over images",
        range="any; undefined where the variance is exactly 0",
        sees="complete, norm",
        blind_to="the shape of the spectrum; without stop-gradient it may rise while the embedding collapses",
        falls="down",
    ),
)
def log_trace(evidence: Evidence) -> float | None:
    trace = evidence.moments.trace
    return float(np.log(trace)) if trace > 0 else None
