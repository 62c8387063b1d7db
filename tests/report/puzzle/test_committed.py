"""What README and docs/the-notebook-puzzle.md say of the committed study is what its puzzle.json holds."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from collapselab.files import read_json

ROOT = Path(__file__).parents[3]
DRAWN = {"network": "student", "view": "clean", "tokens": "pooled", "space": "logits"}


@pytest.fixture(scope="module")
def entries() -> Any:
    return read_json(ROOT / "reports" / "notebook-cpu" / "puzzle.json")


def means(entries: Any, key: str, *, end: bool, mode: str) -> dict[str, float]:
    """Regime -> a value of the student's outputs as drawn, the mean over seeds."""
    asked = DRAWN | {"mode": mode}
    found: dict[str, list[float]] = {}
    for entry in entries:
        if (entry["step"] > 0) == end and all(entry[name] == value for name, value in asked.items()):
            found.setdefault(entry["regime"], []).append(entry[key])
    assert {len(values) for values in found.values()} == {3}
    return {regime: fmean(values) for regime, values in found.items()}


def test_dropout_hides_the_collapse(entries: Any) -> None:
    train, own = (means(entries, "effective_rank", end=True, mode=mode).values() for mode in ("train", "eval"))
    before = means(entries, "effective_rank", end=False, mode="train").values()
    numbers = [f"{value:.0f}" for value in (min(train), max(train), fmean(before), min(own), max(own))]
    assert numbers == ["47", "104", "117", "3", "9"]
    for page in ("README.md", "docs/the-notebook-puzzle.md"):
        text = " ".join((ROOT / page).read_text().split())
        assert "47 to 104" in text and "3 to 9" in text


def test_the_mean_runs_away_and_the_softmax_saturates_in_both(entries: Any) -> None:
    shares = [means(entries, "mean_share", end=end, mode="eval")["both"] for end in (False, True)]
    assert [f"{share:.2f}" for share in shares] == ["0.38", "0.99"]
    entropies = {
        regime: fmean(entry["entropy"] for entry in entries if entry["regime"] == regime and entry["step"] > 0)
        for regime in ("both", "frozen", "copy", "ema")
    }
    assert entropies["both"] < 1e-3 and min(entropies[name] for name in ("frozen", "copy", "ema")) > 4.8
