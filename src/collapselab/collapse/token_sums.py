"""Sums over token outputs: what statistics of tokens read, in place of the tokens."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapselab.collapse.statistics.moments import Float, Moments, blocks
from collapselab.errors import UserError


@dataclass(frozen=True)
class TokenSums:
    """What token statistics need of token outputs x[n, t, :] of N images at T positions.

    Attributes:
        images: mean over an image's positions, [N, d]; positions: mean over images at each position, [T, d].
        square: E ||x||^2 over all tokens.
        second: E x x^T over all tokens, uncentred, [d, d]; only spectra of tokens need it.
        raw: the tokens [N, T, d] where they are at hand: without them, images can't be drawn again for an interval.
    """

    images: Float
    positions: Float
    square: float
    second: Float | None = None
    raw: NDArray[Any] | None = None

    @classmethod
    def of(cls, tokens: NDArray[Any]) -> TokenSums:
        """Of tokens [N, T, d]. Raises UserError for another shape, NaN or infinity."""
        if tokens.ndim != 3 or len(tokens) < 2 or tokens.shape[1] < 2:
            raise UserError(
                f"tokens must be [images, positions, dimensions] with two or more of each, not {list(tokens.shape)}"
            )
        n, t, d = tokens.shape
        images, positions, square, start = np.zeros((n, d)), np.zeros((t, d)), 0.0, 0
        for block in blocks(np.reshape(tokens, (n, t * d))):
            x = block.reshape(-1, t, d)
            images[start : start + len(x)] = x.mean(1)
            positions += x.sum(0) / n
            square += float((x**2).sum()) / (n * t)
            start += len(x)
        return cls(images, positions, square, raw=tokens)

    @cached_property
    def moments(self) -> Moments | None:
        """Of all tokens, where `second` is known."""
        if self.second is None:
            return None
        return Moments.of_uncentred(len(self.images) * len(self.positions), self.positions.mean(0), self.second)

    def drawn(self, generator: np.random.Generator, most: int) -> TokenSums:
        """A bootstrap sample over images, where the tokens are at hand; otherwise the same sums."""
        if self.raw is None:
            return self
        count = len(self.raw)
        return TokenSums.of(self.raw[generator.integers(0, count, min(count, most))])
