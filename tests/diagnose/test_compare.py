"""Two of them: what changed, where, and since when."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from tests.diagnose.conftest import Run, flat, gaussian, snapshot

from collapselab.collapse.diagnosis import diagnose
from collapselab.diagnose.compare import compare, moved, sentences


def test_runs_are_compared_layer_by_layer_with_the_step(run: Run, runs: tuple[Path, Path]) -> None:
    lost, kept = runs
    found = run("diagnose", lost, "--reference", kept, "--json").json["comparison"]
    embedding, representation = found["layers"]["embedding"], found["layers"]["representation"]
    assert embedding["appeared"] == ["dimensional"]
    assert embedding["since"] == {"dimensional": {"step": 10, "after": 0}}
    assert representation == {
        "appeared": [],
        "vanished": [],
        "unjudged": [],
        "moved": representation["moved"],
        "since": {},
    }
    assert all(entry["log_ratio"] == 0 for entry in representation["moved"])
    back = run("diagnose", kept, "--reference", lost, "--json").json["comparison"]["layers"]["embedding"]
    assert back["vanished"] == ["dimensional"] and back["since"] == embedding["since"]
    assert "dimensional here, not in the reference, from step 10 on" in run(
        "diagnose", lost, "--reference", kept
    ).out.replace("\n  ", " ")


def test_cosines_alone_are_judged_at_every_step(run: Run, tmp_path: Path) -> None:
    """Lengths differ and directions do not: a collapse for a loss of cosines alone."""
    ray = np.abs(gaussian(300, 1, seed=5)) @ np.ones((1, 16)) + 1e-6 * gaussian(300, 16, seed=6)
    for name in ("lost", "kept"):
        for step in (0, 10, 20):
            embedding = ray if name == "lost" and step else gaussian(300, 16, seed=3)
            layers = {"representation": gaussian(300, 24, seed=4), "embedding": embedding}
            snapshot(tmp_path / name / "snapshots" / f"step-{step:06d}.safetensors", step, layers)
    call = ("diagnose", tmp_path / "lost", "--reference", tmp_path / "kept", "--cosine", "--json")
    found = run(*call).json["comparison"]["layers"]["embedding"]
    assert "complete" in found["appeared"] and found["since"]["complete"] == {"step": 10, "after": 0}


def test_the_chosen_layer_is_compared_with_its_own_kind(run: Run, runs: tuple[Path, Path], tmp_path: Path) -> None:
    chosen = ("diagnose", runs[0], "--layer", "embedding", "--json")
    found = run(*chosen, "--reference", runs[1]).json["comparison"]
    assert list(found["layers"]) == ["embedding"] and found["only_there"] == []
    np.save(tmp_path / "plain.npy", gaussian())
    assert run(*chosen, "--reference", tmp_path / "plain.npy").json["comparison"]["layers"]["embedding"]["moved"]


def test_metrics_are_ranked_by_the_logarithm_of_their_ratio() -> None:
    now = {"effective_rank": 1.0, "normalised_std": 0.2, "mean_share": None, "log_trace": 5.0, "rank_ceiling": 3.0}
    there = {"effective_rank": 100.0, "normalised_std": 0.1, "mean_share": 0.5, "log_trace": 1.0, "rank_ceiling": 9.0}
    found = moved(now, there)
    assert [(entry.metric, entry.log_ratio) for entry in found] == [
        ("effective_rank", pytest.approx(-math.log(100))),
        ("normalised_std", pytest.approx(math.log(2))),
    ]


def test_layers_that_one_side_lacks_are_named() -> None:
    from collapselab.collapse.evidence import Evidence
    from collapselab.collapse.snapshot import Snapshot

    def of(*names: str) -> Snapshot:
        return Snapshot(0, names[0], names, {name: Evidence(gaussian(100, 8)) for name in names})

    found = compare(diagnose(of("a", "b"), draws=0), diagnose(of("a", "c"), draws=0))
    assert (found.only_here, found.only_there) == (["b"], ["c"])
    assert sentences(found) == ["the same kinds as in the reference", "only here: b", "only in the reference: c"]


def test_a_kind_that_the_reference_can_not_judge_is_said_to_be_so() -> None:
    now = diagnose(gaussian() * 1e-4, gaussian(), draws=0)
    found = compare(now, diagnose(gaussian(), draws=0))
    assert found.layers["features"].appeared == ["norm"] and found.layers["features"].unjudged == ["norm"]
    assert sentences(found) == ["norm here, which can't be judged in the reference"]
    gone = compare(diagnose(gaussian(600), draws=0), diagnose(flat(), draws=0))
    assert sentences(gone) == ["dimensional in the reference, not here"]
