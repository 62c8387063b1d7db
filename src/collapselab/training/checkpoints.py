"""Checkpoints: everything that a run holds between two steps, so that it goes on after a kill as if nothing had happened.

Randomness is addressed by step (see `randomness`), so no generator's state belongs to it; nor do schedules, which follow from
the step. A checkpoint is one npz file, `step-000120.npz`: it streams to the disk, and each array carries a checksum. Its keys:

- `method/NAME`: weights and buffers, EMA networks, centres and queues among them.
- `optimiser/PARAMETER/NAME`: the optimiser's state of each parameter, counted in the order of its groups.
- `gradients/NAME`: the averages of the gradients.
- `history`: the rows of history.csv so far, as bytes.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from collapselab.files import Arrays, replacing
from collapselab.methods.base import Method
from collapselab.training.gradients import GradientStatistics

KEPT = 2
EVERY = 15.0  # seconds of work that a kill may cost at most


@dataclass(frozen=True)
class Checkpoint:
    """What was read from one file."""

    step: int
    arrays: Arrays

    @property
    def history(self) -> bytes:
        return self.arrays["history"].tobytes()


class Checkpoints:
    """The checkpoints of one run: written atomically, beside the training, the last two kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None
        self._saved, self._checked = time.monotonic(), time.monotonic()

    def due(self) -> bool:
        """Whether the next step might end more than `EVERY` seconds after the last checkpoint. To be asked once a step."""
        now = time.monotonic()
        step, self._checked = now - self._checked, now
        return now - self._saved + step > EVERY

    def save(self, step: int, arrays: Arrays) -> None:
        """Begin to write one, when the one before is on disk; `arrays` must not change afterwards (see `collect`).

        Raises UserError where the disk refused the one before.
        """
        self.settle()
        self._writing = self._writer.submit(self._write, step, arrays)
        self._saved = time.monotonic()

    def settle(self) -> None:
        """Wait until what was begun is on disk. Raises UserError where the disk refuses."""
        writing, self._writing = self._writing, None
        if writing:
            writing.result()

    def _write(self, step: int, arrays: Arrays) -> None:
        with replacing(self.folder / f"step-{step:06d}.npz") as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        for old in self._paths()[:-KEPT]:
            old.unlink(missing_ok=True)

    def latest(self) -> Checkpoint | None:
        """The newest whole one. A damaged one is named on stderr and removed, and the one before it serves."""
        for path in reversed(self._paths()):
            if _whole(path):
                with np.load(path, allow_pickle=False) as file:
                    return Checkpoint(_step(path), dict(file))
            print(f"{path} is damaged and was removed", file=sys.stderr)
            path.unlink()
        return None

    @property
    def newest(self) -> Path | None:
        self.settle()
        paths = self._paths()
        return paths[-1] if paths else None

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.npz"), key=_step)


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def _whole(path: Path) -> bool:
    """Whether every array has its checksum."""
    try:
        with ZipFile(path) as file:
            return file.testzip() is None
    except BadZipFile:
        return False


def collect(method: Method, optimiser: torch.optim.Optimizer, gradients: GradientStatistics) -> Arrays:
    """A copy of the state of all three, as arrays under the keys above."""
    arrays = collect_method(method) | {f"gradients/{name}": _array(value) for name, value in gradients.state().items()}
    for number, state in optimiser.state_dict()["state"].items():
        arrays |= {f"optimiser/{number}/{name}": _array(value) for name, value in state.items() if value is not None}
    return arrays


def collect_method(method: Method) -> Arrays:
    return {f"method/{name}": _array(value) for name, value in method.state_dict().items()}


def restore(arrays: Arrays, method: Method, optimiser: torch.optim.Optimizer, gradients: GradientStatistics) -> None:
    """Bring all three, freshly built, to the state that `collect` saw, memory layouts included."""
    restore_method(arrays, method)
    gradients.restore({name: torch.from_numpy(value) for name, value in _under("gradients/", arrays).items()})
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in _under("optimiser/", arrays).items():
        number, name = key.split("/", 1)
        state.setdefault(int(number), {})[name] = _like(parameters[int(number)], torch.from_numpy(value))
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def restore_method(arrays: Arrays, method: Method) -> None:
    method.load_state_dict({name: torch.from_numpy(value) for name, value in _under("method/", arrays).items()})


def _under(prefix: str, arrays: Arrays) -> Arrays:
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}


def _array(value: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = value.detach().to("cpu", copy=True).numpy()
    return array


def _like(parameter: Tensor, value: Tensor) -> Tensor:
    """`value` with the strides of the parameter that it belongs to, as the optimiser would have made it; a counter as it is."""
    if value.shape != parameter.shape:
        return value.clone()
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)
