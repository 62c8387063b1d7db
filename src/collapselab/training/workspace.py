"""Where a cell is trained: `.checkpoints/<study>.<regime>.<seed>.<key>/`, outside everything that DVC empties or hashes.

    outputs/        what the cell leaves behind, as it grows; published to runs/ when it is whole
    checkpoints/    the last two states between steps
    owner           pid of the process that holds the lock

The key is a hash of everything that shapes the run, so no other configuration can pick a checkpoint up. A finished cell stays
until its stage has ended: DVC empties the stage's outputs before it runs, and with them the seeds that were done.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from collapselab.files import sha256, unwritable, write_text

FOLDER = Path(".checkpoints")
FINISHED = "weights.safetensors"  # written last
SHELLS = ("sh", "bash", "dash", "zsh", "fish")


@dataclass(frozen=True)
class Workspace:
    """The folder of one cell. Only the process that holds its lock writes in it (see `claimed`)."""

    folder: Path

    @classmethod
    def of(cls, study: str, regime: str, seed: int, shapes: Mapping[str, Any]) -> Workspace:
        """The cell's own folder; `shapes` is everything that shapes the run, as JSON values."""
        key = sha256(json.dumps(shapes, sort_keys=True).encode())[:16]
        return cls(FOLDER / f"{study}.{regime}.{seed}.{key}")

    @property
    def outputs(self) -> Path:
        return self.folder / "outputs"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def finished(self) -> bool:
        return (self.outputs / FINISHED).exists()

    def publish(self, out: Path) -> None:
        """Put the finished outputs at `out`, in place of what was there: hard links, or copies on another file system."""
        staged = out.with_name(f".{out.name}.{os.getpid()}.tmp")
        try:
            shutil.copytree(self.outputs, staged, copy_function=_link)
            shutil.rmtree(out, ignore_errors=True)
            os.replace(staged, out)
        except OSError as error:
            raise unwritable(out, error) from error
        finally:
            shutil.rmtree(staged, ignore_errors=True)

    def discard(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def claimed(workspace: Workspace, say: Callable[[str], None]) -> Iterator[Workspace]:
    """Hold the workspace alone, waiting for another process that holds it: a trainer whose DVC was killed is still at work."""
    owner = workspace.folder / "owner"
    lock = FileLock(workspace.folder.with_name(f"{workspace.folder.name}.lock"))
    FOLDER.mkdir(exist_ok=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        pid = owner.read_text().strip() if owner.exists() else "unknown"
        say(
            f"waiting for process {pid}, which is training the same cell and whose result will do; Ctrl-C stops waiting, "
            f"and `kill {pid}` makes it save a checkpoint and exit, from which this run goes on"
        )
        lock.acquire()
    try:
        write_text(owner, f"{os.getpid()}\n")
        yield workspace
    finally:
        owner.unlink(missing_ok=True)
        if not workspace.folder.exists():
            Path(lock.lock_file).unlink(
                missing_ok=True
            )  # while it is held: whoever waits for it notices and makes a new one
        lock.release()


def caller() -> int | None:
    """pid of the process that this one works for, shells between them left out; it changes where that one dies."""
    for process in psutil.Process().parents():
        if process.name() not in SHELLS:
            return int(process.pid)
    return None


def in_progress(root: Path, study: str, regime: str, seed: int | str) -> Path | None:
    """The outputs, so far, of the cell's training that moved last; None where none has begun that was not discarded."""
    histories = (root / FOLDER).glob(f"{study}.{regime}.{seed}.*/outputs/history.csv")
    latest = max(histories, key=lambda path: path.stat().st_mtime, default=None)
    return latest.parent if latest else None


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
