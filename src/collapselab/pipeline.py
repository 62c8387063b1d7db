"""`make repro`: the same as `dvc repro`, with as many regimes at a time as there are cores, and a summary at the end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any

import psutil

from collapselab.config.study import Study, read_params
from collapselab.console import progress
from collapselab.data.dataset import load_manifest
from collapselab.errors import UserError
from collapselab.training.workspace import in_progress

STAGE = "pretrain@"
# For the stages: glibc without its caches of small freed blocks, which keep large ones beside them from growing together. The
# founding network's training takes a tenth less memory and as much time. Nothing in a running process could set it.
ALLOCATION = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=160"}


def dvc(*arguments: str) -> int:
    """Run DVC in this process, which spares its start-up for each call."""
    from dvc.cli import main

    return int(main(list(arguments)))


def stale_cells() -> list[str]:
    """Pretrain stages that `dvc repro` would run, in dvc.yaml's order."""
    answer = StringIO()
    with redirect_stdout(answer):
        code = dvc("status", "--json")
    text = answer.getvalue()
    if code or "{" not in text:
        raise UserError("`dvc status` failed; run it to see why")
    status = json.loads(text[text.index("{") :])
    return [name for name in status if name.startswith(STAGE) and _changed(status[name])]


def _changed(entries: list[Any]) -> bool:
    return any(entry != "always changed" for entry in entries)


def run_cells(study: Study, names: list[str], jobs: int) -> None:
    """Run pretrain stages, `jobs` at a time, the longest first; a failure stops the start of new ones.

    Raises UserError with the failed stage's own output.
    """
    cost = {name: _cost(study, name) for name in names}
    waiting = deque(sorted(names, key=lambda name: -cost[name]))
    total, done = sum(cost.values()), 0
    failed: list[str] = []
    with ThreadPoolExecutor(jobs) as pool, progress(f"pretraining {len(names)} regimes, {jobs} at a time") as advance:
        running: dict[Future[tuple[int, str]], str] = {}
        while running or (waiting and not failed):
            while waiting and len(running) < jobs and not failed:
                name = waiting.popleft()
                running[pool.submit(_reproduce, name)] = name
            finished, _ = wait(running, timeout=1, return_when=FIRST_COMPLETED)
            for future in finished:
                name = running.pop(future)
                code, output = future.result()
                done += cost[name]
                if code:
                    failed.append(output)
                else:
                    _echo(output)
            advance(done + sum(_done(study, name) for name in running.values()), total)
    if failed:
        raise UserError("\n".join(failed))


def _reproduce(name: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", name]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return result.returncode, result.stdout


def _echo(output: str) -> None:
    """The stage's own lines; DVC's chatter only when something fails."""
    for line in output.splitlines():
        if line.startswith(STAGE) or "is cached" in line:
            print(line, flush=True)


def _cost(study: Study, name: str) -> int:
    """Images seen: near enough to start the longest first and to tell the time left."""
    regime = study.regimes[name.removeprefix(STAGE)]
    train = getattr(study.data, "train", None) or 50_000
    return int(regime.epochs * train * len(study.seeds_of(name.removeprefix(STAGE))))


def _done(study: Study, name: str) -> int:
    """Images seen so far, from the growing history files."""
    key = name.removeprefix(STAGE)
    steps = 0
    for seed in study.seeds_of(key):
        folder = in_progress(Path(), study.study, key, seed)
        if folder:
            with suppress(OSError):  # it has just been published and removed
                steps += max(0, (folder / "history.csv").read_bytes().count(b"\n") - 1)
    return min(steps * study.regimes[key].batch_size, _cost(study, name))


def reproduce(study: Study, jobs: int) -> None:
    """Everything: the data, the cells in parallel, then whatever else `dvc repro` finds to do.

    Raises UserError where a stage fails.
    """
    started = time.time()
    signal.signal(signal.SIGTERM, _end)
    # Stages are run as `python ...`: this environment's, also where it was not activated.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    for name, value in ALLOCATION.items():
        os.environ.setdefault(name, value)
    check_followed(read_params(), read_params(Path("dvc.yaml")))
    remove_leftovers(study)
    _check_labels(study)
    names = stale_cells()
    if len(names) > 1 and jobs > 1:
        _checked("repro", "--quiet", "--single-item", "download")
        run_cells(study, names, min(jobs, len(names)))
    _checked("repro")
    print(*_timings(started), sep="\n")


def _end(number: int, frame: object) -> None:
    """On SIGTERM as on Ctrl-C, which a terminal sends to every process at once: DVC passes no signal on to its stages."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.send_signal(signal.SIGINT)
    raise KeyboardInterrupt


def check_followed(params: Mapping[str, Any], pipeline: Mapping[str, Any]) -> None:
    """Raises UserError where a stage follows a section that has defaults and was left out: DVC says so after the training only."""
    for name, stage in pipeline["stages"].items():
        for key in stage.get("params", []):
            if isinstance(key, str) and not _holds(params, key):  # else a whole file's
                raise UserError(
                    f"params.yaml: {key} is missing, which stage {name} follows: `{{}}` there takes its defaults"
                )


def _holds(params: Any, key: str) -> bool:
    """Whether a value stands under a key such as `evaluation.knn`."""
    first, _, rest = key.partition(".")
    found = params.get(first) if isinstance(params, Mapping) else None
    return _holds(found, rest) if rest else found is not None


def _check_labels(study: Study) -> None:
    """A regime that needs labels may be new to a data set without: `download`, which asks too, need not run again."""
    from collapselab.evaluation.labels import check_labels

    folder = Path("data") / study.data.source
    if (folder / "manifest.json").exists():
        check_labels(study, load_manifest(folder))


def _timings(since: float) -> list[str]:
    """What the stages of this run took, start-up (imports) and work apart, as they noted it themselves."""
    lines = [f"\nreproduced in {time.time() - since:.0f} s; of it, by stage, start-up and work in seconds:"]
    for note in sorted(Path(".timings").glob("*.json"), key=lambda path: path.stat().st_mtime):
        if note.stat().st_mtime >= since:
            took = json.loads(note.read_text())
            lines.append(f"  {note.stem:<36}{took['startup_s']:6.1f}{took['work_s']:8.1f}")
    return lines


def _checked(*arguments: str) -> None:
    if dvc(*arguments):
        raise UserError(f"`dvc {' '.join(arguments)}` failed; its message stands above")


def default_jobs(study: Study) -> int:
    """Regimes at a time: as many as the cores hold with the study's threads; one where they would share a GPU."""
    import torch

    shared = study.training.device in ("cuda", "mps") or (
        study.training.device == "auto" and (torch.cuda.is_available() or torch.backends.mps.is_available())
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 1 if shared else max(1, cores // (study.training.threads or cores))


def remove_leftovers(study: Study) -> None:
    """Remove cells that params.yaml no longer names: DVC hashes their folder, and no other clone would have them.

    Nothing is lost: they are outputs, and DVC's cache keeps them.
    """
    for folder in sorted((Path("runs") / study.study / "pretrain").glob("*")):
        if folder.name not in study.regimes:
            print(f"removing {folder}: params.yaml names no such regime any more")
            shutil.rmtree(folder)
