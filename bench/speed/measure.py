"""Ratios of times: only what ran in turns, in one run on one machine, is compared."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from collapselab.errors import UserError

ROOT = Path(__file__).parents[2]
PAIRS = 7


@dataclass(frozen=True)
class Part:
    """One comparison.

    Attributes:
        theirs, ours: seconds of each turn, in the same order: turn i of both ran one after the other.
        beside: what else was measured in the same processes, by name.
    """

    theirs: list[float]
    ours: list[float]
    beside: Mapping[str, float] = field(default_factory=dict)

    @property
    def ratios(self) -> list[float]:
        """How many times as fast we were, turn by turn."""
        return [theirs / ours for theirs, ours in zip(self.theirs, self.ours, strict=True)]

    @property
    def ratio(self) -> dict[str, float]:
        found = self.ratios
        return {"median": round(median(found), 3), "min": round(min(found), 3), "max": round(max(found), 3)}

    def as_json(self) -> dict[str, Any]:
        seconds = {"peer_s": round(median(self.theirs), 5), "ours_s": round(median(self.ours), 5)}
        return {"ratio": self.ratio} | seconds | {name: round(value, 4) for name, value in self.beside.items()}


@dataclass(frozen=True)
class Result:
    """A benchmark: what was compared with what; of several parts the slowest speaks for all."""

    name: str
    peer: str
    parts: Mapping[str, Part]

    def as_json(self) -> dict[str, Any]:
        ratios = [part.ratio for part in self.parts.values()]
        return {
            "name": self.name,
            "peer": self.peer,
            "ratio": min(ratios, key=lambda ratio: ratio["median"]),
            "machine": machine(),
            "parts": {name: part.as_json() for name, part in self.parts.items()},
        }


class Side:
    """A worker in a process of its own, which takes a step when it is told to; a context, at whose end it is gone."""

    def __init__(self, module: str, *arguments: str, **environment: str) -> None:
        self._name = " ".join([module, *arguments])
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open as long as the worker lives
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def ask(self, what: str = "step") -> float:
        """Seconds of the next step, or the product rate for `gemm`. Raises UserError where the worker has ended."""
        assert self._process.stdin and self._process.stdout
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{what}\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            self._errors.seek(0)
            last = (self._errors.read().strip().splitlines() or ["it said nothing"])[-1]
            raise UserError(f"python -m {self._name} has ended: {last}")
        return float(answer)

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()  # closes its pipes
        self._errors.close()


def in_turns(theirs: Callable[[], object], ours: Callable[[], object], pairs: int) -> Part:
    """Times of both, called in turns after one call each that is not counted."""
    return asked_in_turns(partial(seconds, theirs), partial(seconds, ours), pairs)


def asked_in_turns(theirs: Callable[[], float], ours: Callable[[], float], pairs: int) -> Part:
    """The seconds that both answer, asked in turns after one answer each that is not counted."""
    theirs(), ours()
    turns = [(theirs(), ours()) for _ in range(pairs)]
    return Part([first for first, _ in turns], [second for _, second in turns])


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def in_own_process(module: str, *arguments: str, **environment: str) -> dict[str, float]:
    """What `python -m module` prints as lines of NAME=VALUE: no memory, threads or caches of this process touch it."""
    command = [sys.executable, "-m", module, *arguments]
    answer = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return {name: float(value) for name, value in (line.split("=") for line in answer.stdout.splitlines())}


def peak() -> int:
    """This process's largest memory so far, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def machine() -> dict[str, Any]:
    """What the times depend on: processor, cores, and versions of the libraries that compute."""
    import numpy
    import torch

    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
    } | ({"accelerator": torch.cuda.get_device_name()} if torch.cuda.is_available() else {})


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if (info.is_file())
        else []
    )
    return names[0] if names else platform.processor() or platform.machine()
