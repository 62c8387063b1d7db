"""What a monitor tells, and how."""

from __future__ import annotations

import warnings
from dataclasses import dataclass


class CollapseWarning(UserWarning):
    """A collapse has begun, or a batch holds NaN or infinity."""


@dataclass(frozen=True)
class Warned:
    """A collapse that was named while it began.

    Attributes:
        layer: the monitor's.
        kind: as in `collapselab explain`.
        step: of the reading that proved it, the last of three in five; the collapse itself began earlier.
        evidence: in words.
        standing: whether the latest reading still presses that way.
    """

    layer: str
    kind: str
    step: int
    evidence: str
    standing: bool = True

    def __str__(self) -> str:
        return f"{self.layer}: {self.kind} collapse named at step {self.step}: {self.evidence}"


def tell(text: str) -> None:
    """Through Python's warnings, so that a loop that never asks hears of it."""
    warnings.warn(text, CollapseWarning, stacklevel=2)
