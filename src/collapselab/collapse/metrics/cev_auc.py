"""CEV-AUC: how early the cumulative spectrum of the normalised features is full."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.rounding import directions_resolved


@metric(
    "sample",
    spec=Spec(
        formula="mean over j = 1 .. min(N - 1, d) of sum_{i <= j} s_i / sum s, s the singular values",
        source="Li, Efros and Pathak 2022 (arXiv 2209.15007), equation 2; singular values, as their code has it, not variances",
        centring="mean over images, after normalising",
        normalisation="L2, each vector",
        range="about .5 (isotropic) to 1 (one direction); undefined where vectors differ in length only, or by rounding",
        sees="dimensional",
        blind_to="cluster and local collapse; vectors along one ray",
        falls="up",
    ),
)
def cev_auc(evidence: Evidence) -> float | None:
    if not (evidence.resolved and directions_resolved(evidence)):
        return None
    moments = evidence.unit_moments
    s = np.sqrt(moments.eigenvalues[: evidence.ceiling])
    return float((s.cumsum() / s.sum()).mean())
