"""Each loss beside lightly's: the values that docs/definitions.md records, and lightly itself where it is installed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bench.definitions.losses import COMPARISONS, LossComparison, method_loss, outputs, run
from tests.optional import needs

PAGE = Path(__file__).parents[2] / "docs" / "definitions.md"
WITHOUT = {"token_distillation", "ijepa", "supervised"}  # lightly has no loss of these, or takes torch's own


def recorded() -> dict[str, tuple[dict[str, tuple[float, float]], str]]:
    """method -> outputs -> (our value, lightly's), and whether they are equal; five digits each."""
    found = {}
    for line in PAGE.read_text().split("## Losses")[1].split("\n## ")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == 7 and cells[0].startswith("`"):
            pairs = [tuple(map(float, cell.split("; "))) for cell in cells[2:5]]
            found[cells[0].strip("`")] = dict(zip(("unrelated", "views", "constant"), pairs, strict=True)), cells[5]
    return found  # type: ignore[return-value]


@pytest.mark.parametrize("comparison", COMPARISONS, ids=lambda one: one.method)
def test_a_loss_is_lightlys_value_or_lightlys_definition_is_restated(comparison: LossComparison) -> None:
    values, equal = recorded()[comparison.method]
    for name, of in outputs().items():
        ours, theirs = values[name]
        now = float(method_loss(comparison.method, comparison.keys, of))
        assert now == pytest.approx(ours, rel=1e-4, abs=1e-7)
        if name not in comparison.differs:
            assert now == pytest.approx(theirs, rel=1e-4, abs=1e-7)
        if comparison.restated:
            assert float(comparison.restated(of)) == pytest.approx(theirs, rel=1e-4, abs=1e-7)
    assert (equal == "yes") == (not comparison.differs)
    assert comparison.restated is not None or not comparison.differs  # a difference is explained, not only told


@needs("lightly")
@pytest.mark.parametrize("comparison", COMPARISONS, ids=lambda one: one.method)
def test_lightly_itself_agrees_with_what_is_recorded(comparison: LossComparison) -> None:
    result = run(comparison)
    assert result is not None and result.unexpected == ()


def test_every_method_with_a_loss_in_lightly_is_compared() -> None:
    from collapselab.methods import METHODS

    assert {comparison.method for comparison in COMPARISONS} == set(METHODS) - WITHOUT, (
        "a method belongs into COMPARISONS of bench/definitions/losses.py, or into WITHOUT above where lightly has no such loss"
    )
    assert set(recorded()) == set(METHODS) - WITHOUT
    text = re.sub(r"\s+", " ", PAGE.read_text())
    assert "lightly has no loss of its own for token distillation, and trains I-JEPA on torch's smooth L1" in text
