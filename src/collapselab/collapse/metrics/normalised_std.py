"""SimSiam's collapse measure: spread of the L2-normalised output."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.registry import Evidence, Spec, metric


@metric(
    "sample",
    spec=Spec(
        formula="mean over channels of std over images of z / ||z||",
        source="Chen and He 2021 (arXiv 2011.10566), section 4.1",
        normalisation="L2, each vector",
        range="0 to 1 / sqrt(d); 1 / sqrt(d) for isotropic features",
        blind_to="dimensional and cluster collapse",
    ),
)
def normalised_std(evidence: Evidence) -> float | None:
    z = np.asarray(evidence.sample, dtype=np.float64)
    length = np.linalg.norm(z, axis=1, keepdims=True)
    return float((z / np.where(length > 0, length, 1)).std(0).mean())
