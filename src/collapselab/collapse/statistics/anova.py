"""Two-way analysis of variance of token outputs: image, position, and what is left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.statistics.rounding import ULPS

FORMULA = "x[n, t] = mean + image[n] + position[t] + rest[n, t]; sums of squares over all tokens and dimensions"
SOURCE = "two-way analysis of variance without replication (Scheffe 1959)"
RANGE = "0 to 1; undefined where the total variance is rounding (float32)"


@dataclass(frozen=True)
class Shares:
    """Of the total variance of the tokens; they sum to one. Plain sums of squares, not corrected for degrees of freedom."""

    image: float
    position: float
    interaction: float

    @classmethod
    def of(cls, evidence: Evidence) -> Shares | None:
        """None where the total variance is rounding: the sums don't say what type the tokens had, so float32 is taken."""
        tokens = evidence.tokens
        assert tokens is not None
        mean = tokens.positions.mean(0)
        total = tokens.square - float(mean @ mean)
        if total <= (ULPS * float(np.finfo(np.float32).eps)) ** 2 * tokens.square:
            return None
        image = float(((tokens.images - mean) ** 2).sum(1).mean())
        position = float(((tokens.positions - mean) ** 2).sum(1).mean())
        rest = max(0.0, total - image - position)
        total = image + position + rest
        return cls(image / total, position / total, rest / total)
