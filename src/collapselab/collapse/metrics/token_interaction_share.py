"""The share of token variance that goes with image and position together: what an image shows at a place."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.anova import FORMULA, RANGE, SOURCE, Shares


@metric(
    "tokens",
    spec=Spec(
        formula=f"{FORMULA}: share of `rest`",
        source=f"{SOURCE}; without replication, interaction and noise are one",
        centring="image means and position means",
        range=RANGE,
        sees="token-position, token-smooth",
        blind_to="noise, which counts as interaction",
        falls="down",
    ),
)
def token_interaction_share(evidence: Evidence) -> float | None:
    found = Shares.of(evidence)
    return found.interaction if found else None
