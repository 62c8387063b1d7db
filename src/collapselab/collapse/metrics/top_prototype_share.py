"""How much of all mass the one prototype takes that takes most."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.softmax import marginal


@metric(
    "probabilities",
    spec=Spec(
        formula="max over prototypes of the mean of p over images",
        source="what one-hot collapse means; entropy alone can't tell it from two classes of nine to one",
        range="1 / K to 1 (one prototype for everything)",
        sees="one-hot",
        blind_to="whether single images are decided",
        falls="up",
    ),
)
def top_prototype_share(evidence: Evidence) -> float | None:
    assert evidence.probabilities is not None
    return float(marginal(evidence.probabilities).max())
