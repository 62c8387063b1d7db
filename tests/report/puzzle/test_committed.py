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


def ranks(entries: Any, *, end: bool, **taken: str) -> dict[str, float]:
    """Regime -> effective rank, the mean over seeds."""
    found: dict[str, list[float]] = {}
    for entry in entries:
        if (entry["step"] > 0) == end and all(entry[key] == value for key, value in (DRAWN | taken).items()):
            found.setdefault(entry["regime"], []).append(entry["effective_rank"])
    assert {len(values) for values in found.values()} == {3}
    return {regime: fmean(values) for regime, values in found.items()}


def test_dropout_hides_the_collapse(entries: Any) -> None:
    train, own = (ranks(entries, end=True, mode=mode).values() for mode in ("train", "eval"))
    before = ranks(entries, end=False, mode="train").values()
    numbers = [f"{value:.0f}" for value in (min(train), max(train), fmean(before), min(own), max(own))]
    assert numbers == ["47", "104", "117", "3", "9"]
    for page in ("README.md", "docs/the-notebook-puzzle.md"):
        text = " ".join((ROOT / page).read_text().split())
        assert "47 to 104" in text and "3 to 9" in text


def test_the_mean_runs_away_and_the_softmax_saturates_in_both(entries: Any) -> None:
    shares = {
        end: fmean(
            entry["mean_share"]
            for entry in entries
            if entry["regime"] == "both"
            and (entry["step"] > 0) == end
            and all(entry[key] == value for key, value in (DRAWN | {"mode": "eval"}).items())
        )
        for end in (False, True)
    }
    assert {end: f"{share:.2f}" for end, share in shares.items()} == {False: "0.38", True: "0.99"}
    entropies = {
        regime: fmean(entry["entropy"] for entry in entries if entry["regime"] == regime and entry["step"] > 0)
        for regime in ("both", "frozen", "copy", "ema")
    }
    assert entropies["both"] < 1e-3 and min(entropies[name] for name in ("frozen", "copy", "ema")) > 4.8
