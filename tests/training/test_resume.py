"""Checkpoints, the workspace and signals, in one process; kills of processes stand in tests/e2e/test_kills.py."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.training.conftest import content

from collapselab.config.study import Study
from collapselab.config.training import Optimiser
from collapselab.data.dataset import Manifest, Split
from collapselab.errors import UserError
from collapselab.files import read_json
from collapselab.training.cell import Cell, run_cell
from collapselab.training.checkpoints import KEPT, Checkpoints
from collapselab.training.interruption import Interrupted, listening
from collapselab.training.replay import replay
from collapselab.training.workspace import Workspace, claimed, in_progress

CPU = torch.device("cpu")


class Stop(Exception):
    pass


def stopping_at(step: int) -> Callable[[int, int], None]:
    def advance(now: int, steps: int) -> None:
        if now == step:
            raise Stop

    return advance


@pytest.mark.parametrize("regime", ["simsiam", "distillation", "supervised"])
@pytest.mark.parametrize("step", [3, 5, 7])  # five steps are an epoch; a checkpoint is written at its end
def test_a_run_that_goes_on_leaves_the_bytes_of_one_that_never_stopped(
    study: Study, splits: dict[str, Split], manifest: Manifest, tmp_path: Path, regime: str, step: int
) -> None:
    longer = study.regimes[regime].model_copy(update={"epochs": 2})
    cell = Cell(study.model_copy(update={"regimes": {regime: longer}}), regime, 0, CPU)
    run_cell(cell, splits, manifest, tmp_path / "whole")
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    with pytest.raises(Stop):
        run_cell(cell, splits, manifest, tmp_path / "halves", checkpoints, stopping_at(step))
    (tmp_path / "halves/snapshots/.step-000099.safetensors.1.tmp").write_bytes(b"half")
    took: list[int] = []
    said: list[str] = []
    again = Checkpoints(tmp_path / "checkpoints")
    run_cell(cell, splits, manifest, tmp_path / "halves", again, lambda now, _: took.append(now), said.append)
    saved = 5 if step > 5 else 0
    assert took == list(range(saved + 1, 11))
    assert said == ([f"resumed at step {saved} of 10", f"took {10 - saved} steps"] if saved else [])
    assert content(tmp_path / "halves") == content(tmp_path / "whole")


def test_checkpoints_are_pruned_and_a_damaged_one_gives_way_to_the_one_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.latest() is None
    for step in (1, 2, 999_999, 1_000_000):
        checkpoints.save(step, {"history": np.frombuffer(b"rows %d" % step, np.uint8)})
    checkpoints.settle()
    kept = sorted(tmp_path.iterdir())
    assert len(kept) == KEPT
    newest = checkpoints.newest
    assert newest is not None and newest.name.startswith("step-1000000.npz")
    newest.write_bytes(newest.read_bytes().replace(b"rows", b"Rows"))
    found = checkpoints.latest()
    assert found is not None and found.step == 999_999 and found.history == b"rows 999999"
    assert "step-1000000" in capsys.readouterr().err and not newest.exists()


def test_a_checkpoint_is_due_before_too_much_work_is_at_stake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from collapselab.training import checkpoints as module

    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    checkpoints = Checkpoints(tmp_path)
    asked = []
    for clock[0] in (4.0, 8.0, 12.0, 13.0):  # steps of four seconds: after the third, a fourth would end at 16
        asked.append(checkpoints.due())
    assert asked == [False, False, True, False]
    checkpoints.save(1, {"history": np.zeros(0, np.uint8)})
    assert not checkpoints.due()


def test_the_workspace_is_held_by_one_and_a_second_waits_and_says_for_whom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    workspace = Workspace.of("study", "regime", 0, {"a": 1})
    assert workspace != Workspace.of("study", "regime", 0, {"a": 2})
    said: list[str] = []
    order: list[str] = []

    def second() -> None:
        with claimed(workspace, said.append):
            order.append("second")

    with claimed(workspace, said.append):
        (workspace.outputs / "snapshots").mkdir(parents=True)
        (workspace.outputs / "history.csv").write_text("step\n1\n")
        assert in_progress(tmp_path, "study", "regime", 0) == tmp_path / workspace.outputs
        thread = threading.Thread(target=second)
        thread.start()
        while not said:
            pass
        order.append("first")
        workspace.publish(Path("runs/there"))
        workspace.discard()
    thread.join()
    assert order == ["first", "second"]
    assert f"waiting for process {os.getpid()}, " in said[0]
    assert Path("runs/there/history.csv").read_text() == "step\n1\n"
    assert in_progress(tmp_path, "study", "regime", 0) is None


def test_publishing_replaces_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    workspace = Workspace(tmp_path / ".checkpoints/x")
    workspace.outputs.mkdir(parents=True)
    (workspace.outputs / "new").write_text("new")
    out = tmp_path / "runs/out"
    out.mkdir(parents=True)
    (out / "old").write_text("old")
    workspace.publish(out)
    assert content(out.parent) == {"out/new": b"new"}


def test_the_first_signal_is_noted_and_the_second_acts() -> None:
    with listening() as signalled, pytest.raises(KeyboardInterrupt):
        assert signalled() is None
        signal.raise_signal(signal.SIGINT)
        assert signalled() == signal.SIGINT
        signal.raise_signal(signal.SIGINT)


def test_a_signal_between_steps_saves_first(
    study: Study, splits: dict[str, Split], manifest: Manifest, tmp_path: Path
) -> None:
    def advance(step: int, steps: int) -> None:
        if step == 3:
            signal.raise_signal(signal.SIGTERM)

    checkpoints = Checkpoints(tmp_path / "checkpoints")
    with pytest.raises(Interrupted, match="stopped after step 3 of 10 and saved") as caught:
        run_cell(Cell(study, "simsiam", 0, CPU), splits, manifest, tmp_path / "out", checkpoints, advance)
    assert caught.value.exit_code == 128 + signal.SIGTERM
    found = checkpoints.latest()
    assert found is not None and found.step == 3


def test_a_loss_that_is_not_finite_names_the_checkpoint_and_a_file_that_replays_the_step(
    study: Study, splits: dict[str, Split], manifest: Manifest, tmp_path: Path
) -> None:
    """From one epoch's checkpoint on, with weights that a rate of 1e30 has thrown out."""
    wild = study.regimes["simsiam"].model_copy(update={"optimiser": Optimiser(name="sgd", learning_rate=1e30)})
    cell = Cell(study.model_copy(update={"regimes": {"simsiam": wild}}), "simsiam", 0, CPU)
    with pytest.raises(UserError, match=r"regime simsiam, seed 0: the loss is nan at step (\d+)") as caught:
        run_cell(cell, splits, manifest, tmp_path / "out", Checkpoints(tmp_path / "checkpoints"))
    (kept,) = (tmp_path / "checkpoints").glob("replay-step-*.safetensors")
    assert f"collapselab replay {kept}" in str(caught.value)
    torch.set_flush_denormal(False)
    again = replay(kept)
    tiny = torch.tensor([1e-20])
    assert float(tiny * tiny) == 0, "the step is run again with denormals flushed, as it ran"
    torch.set_flush_denormal(False)
    assert (again.regime, again.seed) == ("simsiam", 0) and not np.isfinite(again.losses["loss"])
    assert f"at step {again.step}." in str(caught.value)
    assert again.module is not None or again.weights
    with pytest.raises(UserError, match="is no step that a run kept"):
        replay(tmp_path / "out/features-initial.safetensors")
    assert read_json(tmp_path / "out/config.json")["regime"] == "simsiam"
