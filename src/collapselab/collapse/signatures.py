"""What the curve of a loss says before any feature is read: hints, confirmed by entropies and features."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LAST = 0.2  # of the steps: where a loss must sit
STILL = 2e-3  # relative
COMMON = tuple(2**power for power in range(10, 19))  # numbers of prototypes in public configurations


@dataclass(frozen=True)
class Signature:
    """A kind that the loss points to, and why."""

    kind: str
    sentence: str


def read(
    history: Mapping[str, NDArray[np.float64] | Sequence[float]], prototypes: Iterable[int] = COMMON
) -> list[Signature]:
    """Signatures in the columns of a history, one value a step: `loss`, and its terms where they were recorded.

    `prototypes` are the K to look for; the head's own where it is known. Values that are not finite are left out.
    """
    curves = {name: _end(values) for name, values in history.items()}
    loss = curves.get("loss")
    if loss is None or len(loss) == 0:
        return []
    found = []
    for k in prototypes:
        if np.abs(loss / math.log(k) - 1).max() < STILL:
            found.append(
                Signature(
                    "uniform",
                    f"the loss sits at ln {k} = {math.log(k):.4f}: the softmax says nothing about any image "
                    "(an untrained head starts there too)",
                )
            )
    if np.abs(loss + 1).max() < 1e-2:
        found.append(
            Signature(
                "complete",
                "the loss sits at -1, the least that negative cosine similarity can reach: all outputs agree",
            )
        )
    low = np.abs(loss).max() < 1e-3
    if low and "teacher_entropy" in curves:
        found.append(
            Signature("one-hot", "the distillation loss is 0: student and teacher put all mass on one prototype")
        )
    elif low:
        found.append(
            Signature("complete", "the loss is 0: a prediction that never errs has nothing left to tell images apart")
        )
    covariance, variance = curves.get("covariance", np.ones(1)), curves.get("variance", np.zeros(1))
    if len(covariance) and len(variance) and covariance.max() < 1e-3 and variance.min() > 0.5:
        sentence = "VICReg's covariance term is 0 while its variance term is high: nothing varies that could correlate"
        found.append(Signature("complete", sentence))
    return found


def _end(values: NDArray[np.float64] | Sequence[float]) -> NDArray[np.float64]:
    curve = np.asarray(values, dtype=np.float64)
    curve = curve[np.isfinite(curve)]
    return np.asarray(curve[len(curve) - max(1, round(LAST * len(curve))) :]) if len(curve) else curve
