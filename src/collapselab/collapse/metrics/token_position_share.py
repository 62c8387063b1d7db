"""The share of token variance that goes with the position, the same for all images."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.anova import FORMULA, RANGE, SOURCE, Shares


@metric(
    "tokens",
    spec=Spec(
        formula=f"{FORMULA}: share of `position`",
        source=SOURCE,
        centring="mean over images and positions",
        range=f"{RANGE}; unrelated tokens read 1 / N",
        sees="token-position",
        blind_to="token-smooth, where it reads 0; position embeddings give an untrained network a large share",
        falls="up",
    ),
)
def token_position_share(evidence: Evidence) -> float | None:
    found = Shares.of(evidence)
    return found.position if found else None
