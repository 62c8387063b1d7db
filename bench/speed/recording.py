"""What a run records, as shares of its time: snapshots, checkpoints, history and the averages of gradients.

python -m bench.speed.recording default|frozen|both
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from bench.manifests import manifest_of
from bench.speed.measure import ROOT, in_own_process
from bench.speed.worker import images

from collapselab.config.study import Study, load_study
from collapselab.data import digits
from collapselab.data.dataset import Split
from collapselab.training import loop, recorder
from collapselab.training.cell import Cell, run_cell
from collapselab.training.checkpoints import EVERY, Checkpoints
from collapselab.training.gradients import GradientStatistics
from collapselab.training.history import History
from collapselab.training.interruption import Interrupted
from collapselab.training.process import prepare
from collapselab.training.snapshots import due

LONGEST = "simsiam"  # of the default study: 1,500 steps
PARTS = {
    "snapshots": (recorder, "write_snapshot"),
    "features": (recorder, "write_features"),
    "gradients": (GradientStatistics, "update"),
    "history": (History, "append"),
    "copies": (loop, "collect"),  # what a checkpoint holds
    "handing over": (Checkpoints, "save"),
    "write": (Checkpoints, "_write"),
}
STEPS = 6  # of the founding network, after which single costs are known
# Images of random pixels: an epoch of one step more, and a probe set of full size.
TRAIN, VALIDATION, TEST = 896, 1000, 128
FULL_TRAIN, FULL_TEST = 49_000, 10_000  # CIFAR-10's, without the validation images


def measure() -> dict[str, dict[str, float]]:
    """Shares of a run's time, by part: of the default study's longest regime, and of the founding notebook's."""
    return {name: in_own_process("bench.speed.recording", name) for name in ("default", "frozen", "both")}


def default() -> dict[str, float]:
    """The whole regime, as the pipeline runs it."""
    study = load_study(ROOT / "studies" / "quick.yaml")
    splits = digits.make(study.data)  # type: ignore[arg-type]
    spent, steps = _run(study, LONGEST, splits, None)
    whole = sum(steps)
    return _with_checkpoints({name: sum(spent[name]) / whole for name in PARTS})


def notebook(regime: str) -> dict[str, float]:
    """From single costs on few images of random pixels: of a step, a snapshot, a checkpoint and an image's features.

    Each counts as often as the whole run has it. The snapshot measured is that of step 0.
    """
    study = load_study(ROOT / "studies" / "notebook.yaml")
    pixels = np.ascontiguousarray(images(VALIDATION).transpose(0, 3, 1, 2))
    labels = np.arange(VALIDATION) % 10
    counts = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
    splits = {name: Split(pixels[:count], labels[:count]) for name, count in counts.items()}
    # Without tokens: the two ends alone have them.
    once = study.training.snapshots.model_copy(update={"log_steps": [0], "tokens": None})
    training = study.training.model_copy(update={"snapshots": once, "autocast": None})
    short = study.model_copy(update={"training": training})
    spent, steps = _run(short, regime, splits, STEPS)
    config = study.regimes[regime]
    per_epoch = FULL_TRAIN // config.batch_size
    count = config.epochs * per_epoch
    whole = count * median(steps)
    often = {"snapshots": len(due(study.training.snapshots, count, per_epoch)), "gradients": count, "history": count}
    often |= dict.fromkeys(("copies", "handing over", "write"), whole / EVERY)
    often["features"] = 2 * (FULL_TRAIN + FULL_TEST) / (TRAIN + TEST)  # at the start and at the end
    return _with_checkpoints({name: often[name] * median(spent[name]) / whole for name in PARTS})


def _with_checkpoints(shares: dict[str, float]) -> dict[str, float]:
    """What the training waits for as one share, `checkpoints`; their `write` goes on beside it."""
    return {"checkpoints": shares.pop("copies") + shares.pop("handing over")} | shares


def _run(
    study: Study, regime: str, splits: dict[str, Split], stop: int | None
) -> tuple[dict[str, list[float]], list[float]]:
    """Seconds of each call of each part, and of each step; `stop` ends the run after so many steps."""
    prepare(study.training.threads)
    manifest = manifest_of(study.data.source, splits)
    spent: defaultdict[str, list[float]] = defaultdict(list)
    for name, (owner, attribute) in PARTS.items():
        setattr(owner, attribute, _timed(getattr(owner, attribute), spent[name]))
    ends: list[float] = []

    def advance(step: int, steps: int) -> None:
        ends.append(time.perf_counter())
        if step == stop:
            os.kill(os.getpid(), signal.SIGTERM)  # saves a checkpoint, as it would in use

    with tempfile.TemporaryDirectory() as folder, suppress(Interrupted):
        checkpoints = Checkpoints(Path(folder) / "checkpoints")
        run_cell(
            Cell(study, regime, 0, torch.device("cpu")), splits, manifest, Path(folder) / "out", checkpoints, advance
        )
    return spent, [end - begin for begin, end in pairwise(ends)]


def _timed(call: Callable[..., Any], taken: list[float]) -> Callable[..., Any]:
    def run(*arguments: Any, **options: Any) -> Any:
        begun = time.perf_counter()
        try:
            return call(*arguments, **options)
        finally:
            taken.append(time.perf_counter() - begun)

    return run


if __name__ == "__main__":
    found = default() if sys.argv[1] == "default" else notebook(sys.argv[1])
    print(*(f"{name}={share}" for name, share in found.items()), sep="\n")
