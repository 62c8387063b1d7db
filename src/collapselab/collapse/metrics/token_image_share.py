"""The share of token variance that goes with the image, the same at all positions."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.anova import FORMULA, RANGE, SOURCE, Shares


@metric(
    "tokens",
    spec=Spec(
        formula=f"{FORMULA}: share of `image`",
        source=SOURCE,
        centring="mean over images and positions",
        range=f"{RANGE}; unrelated tokens read 1 / T",
        sees="token-position",
        blind_to="token-smooth, where it reads 1",
        falls="down",
    ),
)
def token_image_share(evidence: Evidence) -> float | None:
    found = Shares.of(evidence)
    return found.image if found else None
