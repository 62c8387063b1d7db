"""What the softmax of a token says about the image once its position is known."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.softmax import entropies, finite_mean


@metric(
    "entropies",
    "position_probabilities",
    spec=Spec(
        formula="E over positions of h(mean over images of p at that position) - E over tokens of h(p), nats; at least 0",
        source="conditional mutual information I(image; prototype | position), plain: low by about (K - 1) / 2N at worst",
        range="0 (position tells all) to ln K",
        sees="token-position, one-hot, uniform",
        blind_to="which positions carry it",
        falls="down",
    ),
)
def position_information(evidence: Evidence) -> float | None:
    assert evidence.position_probabilities is not None and evidence.entropies is not None
    at_position = entropies(evidence.position_probabilities)
    return max(0.0, float(at_position.mean()) - finite_mean(evidence.entropies))
