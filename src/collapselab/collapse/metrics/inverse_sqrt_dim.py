"""The value that normalised_std has for isotropic features."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric(
    "sample",
    spec=Spec(formula="1 / sqrt(d)", source="Chen and He 2021 (arXiv 2011.10566), section 4.1", range="0 to 1"),
)
def inverse_sqrt_dim(evidence: Evidence) -> float | None:
    return float(evidence.sample.shape[1] ** -0.5)
