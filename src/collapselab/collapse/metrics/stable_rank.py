"""Stable rank of features that are not centred: adding a constant to all of them ruins it."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric(
    "sample",
    spec=Spec(
        formula="||Z||_F^2 / ||Z||_2^2",
        source="Rudelson and Vershynin 2007; on embeddings Tsitsulin et al. 2023 (arXiv 2305.16562)",
        range="1 to min(N, d); undefined where all features are 0",
        sees="complete (to 1), dimensional",
        blind_to="cluster collapse; a constant added to all features takes it to 1: nesum is the same, centred",
        falls="down",
    ),
)
def stable_rank(evidence: Evidence) -> float | None:
    values = evidence.moments.uncentred_eigenvalues
    return float(values.sum() / values[0]) if values[0] > 0 else None
