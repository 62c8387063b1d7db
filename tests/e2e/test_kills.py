"""Killed at any moment and run again, a training ends with the bytes of one that nobody disturbed.

The study here is in no dvc.lock and no run-cache, so nothing but a checkpoint can make a second run shorter.
"""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import torch

from collapselab.config.study import load_study
from collapselab.data.dataset import SPLITS, load_manifest, load_split
from collapselab.training.cell import Cell, run_cell
from tests.e2e.conftest import ROOT, Clone, make_clone
from tests.training.conftest import content

STEPS = 200  # of each cell: 40 epochs of five
REGIMES = ("simsiam", "distillation", "vicreg")
VICREG = (
    "  vicreg: {method: vicreg, backbone: resnet, augmentation: crops, epochs: 40, batch_size: 32, projector: [16, 16], "
    "optimiser: {name: adamw, learning_rate: 0.001}}\n"
)
# Kills itself at the third write of a checkpoint: a part of the temporary file is on disk.
IN_THE_WRITE = """
import os, runpy, signal, sys
import numpy as np
write, written = np.savez, []
def torn(file, **arrays):
    written.append(file)
    if len(written) == 3:
        file.write(b"half")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    write(file, **arrays)
np.savez = torn
sys.path.insert(0, "stages")
sys.argv = ["stages/pretrain.py", sys.argv[1]]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@dataclass(frozen=True)
class Lab:
    """A clone with a study of cells that take a second each."""

    clone: Clone

    @property
    def checkpoints(self) -> Path:
        return self.clone.root / ".checkpoints"

    def train(self, regime: str) -> subprocess.Popen[str]:
        return self.clone.start("python", "stages/pretrain.py", regime)

    def expected(self, regime: str) -> dict[str, bytes]:
        """What the cell leaves undisturbed, from this process."""
        if regime not in _expected:
            study = load_study(self.clone.root / "params.yaml")
            data = self.clone.root / "data/digits"
            manifest = load_manifest(data)
            out = self.clone.root / "undisturbed" / regime
            threads = torch.get_num_threads()
            torch.set_num_threads(1)
            torch.set_flush_denormal(True)
            run_cell(
                Cell(study, regime, 0, torch.device("cpu")), {s: load_split(data, s) for s in SPLITS}, manifest, out
            )
            torch.set_num_threads(threads)
            torch.set_flush_denormal(False)
            _expected[regime] = content(out)
        return _expected[regime]

    def outputs(self, regime: str) -> dict[str, bytes]:
        return content(self.clone.root / "runs/kills/pretrain" / regime / "seed-0")

    def wait_for(self, regime: str, process: subprocess.Popen[str], step: int = 1) -> None:
        """Returns once a checkpoint of `step` or a later one is there; fails if the process ends before."""
        while not any(
            int(path.stem.removeprefix("step-")) >= step
            for path in self.checkpoints.glob(f"kills.{regime}.*/checkpoints/step-*.npz")
        ):
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.002)

    def check(self, regime: str, output: str) -> int:
        """The second run went on from a checkpoint, took what was missing and no more, and left the same bytes and no rest."""
        resumed = re.search(rf"pretrain@{regime}: seed 0: resumed at step (\d+) of (\d+)", output)
        assert resumed, output
        k, n = int(resumed[1]), int(resumed[2])
        took = re.search(rf"pretrain@{regime}: seed 0: took (\d+) steps", output)
        assert took and int(took[1]) == n - k and k > 0, output
        assert self.outputs(regime) == self.expected(regime)
        assert not list(self.checkpoints.glob(f"kills.{regime}.*"))
        rows = self.expected(regime)["history.csv"].decode().splitlines()[1:]
        assert [int(row.split(",")[0]) for row in rows] == list(range(1, n + 1))
        return k


_expected: dict[str, dict[str, bytes]] = {}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    clone = make_clone(tmp_path_factory.mktemp("kills"))
    params = (ROOT / "tests/tiny.yaml").read_text().replace("study: tiny", "study: kills")
    params = re.sub(r"epochs: \d+", "epochs: 40", params).replace("seeds: [0, 1]", "seeds: [0]")
    (clone.root / "params.yaml").write_text(params + VICREG)
    clone.run("python", "stages/download.py")
    return Lab(clone)


def kill_at_a_random_moment(lab: Lab, regime: str, moment: random.Random) -> None:
    process = lab.train(regime)
    lab.wait_for(regime, process, moment.randrange(1, STEPS - 40))
    time.sleep(moment.uniform(0, 0.1))
    process.kill()
    process.communicate()


def test_a_killed_training_goes_on_to_the_same_bytes(lab: Lab) -> None:
    kill_at_a_random_moment(lab, "simsiam", random.Random())
    lab.check("simsiam", lab.train("simsiam").communicate()[0])


@pytest.mark.slow
@pytest.mark.parametrize("number", range(20))
def test_twenty_random_moments(lab: Lab, number: int) -> None:
    regime = REGIMES[number % len(REGIMES)]
    kill_at_a_random_moment(lab, regime, random.Random())
    lab.check(regime, lab.train(regime).communicate()[0])


def test_a_kill_during_the_write_of_a_checkpoint(lab: Lab) -> None:
    process = lab.clone.start(sys.executable, "-c", IN_THE_WRITE, "vicreg")
    process.communicate()
    assert process.returncode == -signal.SIGKILL and list(lab.checkpoints.rglob(".*.tmp"))
    # At ends of epochs, and after 15 seconds where the machine is busy: two whole ones before the torn one.
    whole = [int(path.stem.removeprefix("step-")) for path in lab.checkpoints.rglob("step-*.npz")]
    assert len(whole) == 2
    assert lab.check("vicreg", lab.train("vicreg").communicate()[0]) == max(whole)


def test_a_killed_process_group_under_dvc(lab: Lab) -> None:
    process = lab.clone.start("dvc", "repro", "--single-item", "pretrain@distillation")
    lab.wait_for("distillation", process)
    for member in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
        member.kill()
    process.communicate()
    lab.check("distillation", lab.clone.run("dvc", "repro", "--single-item", "pretrain@distillation").stdout)


def test_an_orphan_is_waited_for_and_its_result_taken(lab: Lab) -> None:
    """DVC is killed, its trainer lives: the next run says whom it waits for and takes no step of its own."""
    again = ("dvc", "repro", "--force", "--single-item", "pretrain@vicreg")
    process = lab.clone.start(*again)
    lab.wait_for("vicreg", process)
    below = psutil.Process(process.pid).children(recursive=True)
    (trainer,) = (child for child in below if "stages/pretrain.py" in child.cmdline())
    trainer.suspend()  # until the successor has come
    process.kill()
    process.wait()
    successor = lab.clone.start(*again)
    lines: list[str] = []
    for line in successor.stdout or ():
        lines.append(line)
        if f"waiting for process {trainer.pid}," in line:
            trainer.resume()
    output = "".join(lines)
    assert successor.wait() == 0 and f"waiting for process {trainer.pid}," in output, output
    assert f"seed 0: resumed at step {STEPS} of {STEPS}" in output, output
    assert lab.outputs("vicreg") == lab.expected("vicreg")
    assert not list(lab.checkpoints.glob("kills.*"))


def test_sigterm_saves_and_exits_and_no_other_configuration_picks_it_up(lab: Lab) -> None:
    process = lab.train("vicreg")
    lab.wait_for("vicreg", process)
    process.terminate()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM and "Traceback" not in output
    stopped = re.search(rf"interrupted \(stopped after step (\d+) of {STEPS} and saved\): run `dvc repro`", output)
    assert stopped, output
    method = lab.clone.root / "src/collapselab/methods/vicreg.py"
    before = method.read_text()
    method.write_text(before + "\n")
    output = lab.train("vicreg").communicate()[0]
    assert "resumed" not in output and "start-up" in output
    method.write_text(before)
    assert lab.check("vicreg", lab.train("vicreg").communicate()[0]) == int(stopped[1])


def test_sigterm_to_a_whole_reproduction_ends_its_trainings_and_saves_them(lab: Lab) -> None:
    process = lab.clone.start("collapselab", "repro")
    lab.wait_for("simsiam", process)
    below = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert not [child for child in below if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    lab.check("simsiam", lab.train("simsiam").communicate()[0])
