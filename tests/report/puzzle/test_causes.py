"""What is said of a candidate cause follows its parts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from collapselab.report.inputs import Run, Series
from collapselab.report.puzzle import causes
from collapselab.report.puzzle.effects import Interval
from collapselab.training.gradients import DECAY


def test_verdicts_are_as_honest_as_their_parts() -> None:
    yes, no = dict.fromkeys("ab", True), {"a": True, "b": False}
    assert causes._held([yes, yes]) == "holds"
    assert causes._held([dict.fromkeys("ab", False)]) == "does not hold"
    assert causes._held([yes, no]) == "holds in part (a), not in full (not in every such regime: b)"


def test_a_range_names_its_ends_unless_all_are_one() -> None:
    values = {"a": Interval.of([1.0, 1.2]), "b": Interval.of([3.0])}
    assert causes._range("ab", values.__getitem__) == "1.1 (0.469 to 1.73; a) to 3 (b)"
    assert causes._range("ab", lambda _: values["b"]) == "3"


def run_with(gradients: dict[str, Series]) -> Run:
    empty: dict[str, Any] = {}
    return Run("both", 0, empty, empty, empty, gradients, empty, empty, empty, empty, empty)


def test_gradients_of_the_last_steps_alone() -> None:
    assert causes.DECAY == DECAY
    steps = np.array([5.0, 30.0, 60.0])
    # 3 and 4 are 5 together up to step 30, then there is nothing, and averages only fade.
    fades = math.sqrt(DECAY**30 * (1 - DECAY**30) / (1 - DECAY**60))
    layers = {name: Series(steps, size * np.array([1, 1, fades])) for name, size in (("a", 3.0), ("b", 4.0))}
    last, first = causes.gradient_norms(run_with(layers))
    assert first == 5 and last / first < 1e-3
    steady = {name: Series(steps, np.full(3, size)) for name, size in (("a", 3.0), ("b", 4.0))}
    assert causes.gradient_norms(run_with(steady)) == pytest.approx((5, 5))


@pytest.mark.parametrize(
    ("embedded", "tokens", "words"),
    [
        (["simclr"], [], "holds: training made a drop in the embedding of simclr, and in no token regime's logits"),
        (
            ["simclr"],
            ["both", "ema"],
            "holds in part: training made a drop in the embedding of simclr, but also in the logits of both, ema",
        ),
        ([], ["both"], "does not hold: training made a drop in no embedding, and in the logits of both"),
    ],
)
def test_a_drop_elsewhere_is_told(embedded: list[str], tokens: list[str], words: str) -> None:
    assert causes._whose(embedded, tokens) == words
