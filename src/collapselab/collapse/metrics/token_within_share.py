"""The share of token variance inside images: 0 where all tokens of an image are equal."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.anova import FORMULA, RANGE, SOURCE, Shares


@metric(
    "tokens",
    spec=Spec(
        formula=f"{FORMULA}: share of `position` and `rest`",
        source=SOURCE,
        centring="image means",
        range=RANGE,
        sees="token-smooth",
        blind_to="token-position, where it reads 1",
        falls="down",
    ),
)
def token_within_share(evidence: Evidence) -> float | None:
    found = Shares.of(evidence)
    return found.position + found.interaction if found else None
