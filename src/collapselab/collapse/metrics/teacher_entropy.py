"""How undecided the target is about one image: the floor of a distillation loss."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.softmax import entropies


@metric(
    "probabilities",
    "teacher",
    spec=Spec(
        formula="E h(p_t), nats, p_t averaged over an image's tokens",
        source="Caron et al. 2021 (arXiv 2104.14294), section 5.3 and figure 7: H(p_t, p_s) = h(p_t) + KL",
        range="0 (one-hot) to ln K (uniform)",
        sees="one-hot (to 0) against uniform (to ln K)",
        blind_to="whether all images say the same",
    ),
)
def teacher_entropy(evidence: Evidence) -> float | None:
    assert evidence.teacher is not None
    return float(entropies(evidence.teacher).mean())
