"""What the command prints to: a bar while something takes more than a few seconds, and stdout whose reader may leave."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import TextIOWrapper


class _Output(TextIOWrapper):
    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except BrokenPipeError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            self._drop()

    def _drop(self) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())


@contextmanager
def readers_may_leave() -> Iterator[None]:
    """Where the reader of stdout has seen enough (`| head`) the rest goes nowhere, and the exit code stays what it means."""
    sys.stdout.flush()
    if not isinstance(sys.stdout, TextIOWrapper):  # somebody's own object
        yield
        return
    stdout = sys.stdout
    output = _Output(
        stdout.buffer,
        stdout.encoding,
        stdout.errors,
        line_buffering=stdout.line_buffering,
        write_through=stdout.write_through,
    )
    try:
        with redirect_stdout(output):
            yield
    finally:
        output.flush()
        output.detach()  # or its end would close stdout


@contextmanager
def progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with the time left, on a terminal; nothing when piped. Yields `advance(done, total)`."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
