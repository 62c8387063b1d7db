"""What the student has still to learn of its target: the part of the cross-entropy that is no entropy."""

from __future__ import annotations

import numpy as np
from scipy.special import rel_entr

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.softmax import distributions

LEAST = float(np.finfo(np.float32).tiny)  # a softmax that underflowed to 0 was at least this


@metric(
    "probabilities",
    "teacher",
    spec=Spec(
        formula="E KL(p_t || p_s), nats: H(p_t, p_s) = h(p_t) + KL(p_t || p_s); p averaged over an image's tokens, p_s >= 1.2e-38",
        source="Caron et al. 2021 (arXiv 2104.14294), section 5.3: a KL of 0 means a constant output, hence a collapse",
        epsilon=LEAST,
        range="0 (the teacher says nothing that the student doesn't) to infinity",
        sees="one-hot, uniform",
        blind_to="which of the two (teacher_entropy); a student that has learnt all there is reads 0 too",
        falls="down",
    ),
)
def kl_to_teacher(evidence: Evidence) -> float | None:
    assert evidence.probabilities is not None and evidence.teacher is not None
    pairs = zip(distributions(evidence.teacher), distributions(evidence.probabilities), strict=True)
    total = sum(float(rel_entr(teacher, student.clip(min=LEAST)).sum()) for teacher, student in pairs)
    return max(0.0, total / len(evidence.teacher))
