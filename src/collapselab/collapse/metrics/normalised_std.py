"""SimSiam's collapse measure: spread of the L2-normalised output."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric(
    "sample",
    spec=Spec(
        formula="mean over channels of std over images of z / ||z||",
        source="Chen and He 2021 (arXiv 2011.10566), section 4.1",
        normalisation="L2, each vector; zero vectors stay zero",
        range="0 to 1 / sqrt(d); 1 / sqrt(d) for isotropic features",
        sees="complete",
        blind_to="dimensional and cluster collapse; a large mean lowers it whatever the rest does",
        falls="down",
    ),
)
def normalised_std(evidence: Evidence) -> float | None:
    return float(np.sqrt(np.diag(evidence.unit_moments.covariance)).mean())
