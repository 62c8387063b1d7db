"""How sure a number is: intervals over test images and over seeds, which answer different questions and are never mixed.

Over images: had other test images been drawn, with these networks. Over seeds: had other seeds been drawn, with these images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapselab.randomness import generator
from collapselab.report.inputs import Floats

LEVEL = 0.9  # as of every interval in a report
DRAWS = 1000  # bootstrap samples
Interval = tuple[float, float]


class Images:
    """Bootstrap over test images: the same draws for every number of a report, so that two can be compared."""

    def __init__(self, originals: NDArray[Any]) -> None:
        """`originals` [M]: draws of one original are drawn together, for they are no independent witnesses."""
        names, self._ids = np.unique(originals, return_inverse=True)
        count = len(names)
        self._draws = generator(0, "report/images").multinomial(count, np.full(count, 1 / count), DRAWS)
        self._sizes = self._draws @ np.bincount(self._ids, minlength=count)

    def interval(self, values: NDArray[Any]) -> Interval:
        """Of the mean of `values` [M]."""
        sums = np.bincount(self._ids, weights=values, minlength=self._draws.shape[1])
        low, high = np.quantile(self._draws @ sums / self._sizes, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(low), float(high)


def t_interval(values: Sequence[float] | Floats) -> Interval | None:
    """Student's, of the mean of independent values: one a seed. None of fewer than two."""
    from scipy.special import stdtrit

    count = len(values)
    if count < 2:
        return None
    half = float(stdtrit(count - 1, (1 + LEVEL) / 2)) * float(np.std(values, ddof=1)) / math.sqrt(count)
    middle = math.fsum(values) / count
    return middle - half, middle + half


def beyond(interval: Interval | None) -> bool:
    """Whether it leaves zero out."""
    return interval is not None and (interval[0] > 0 or interval[1] < 0)
