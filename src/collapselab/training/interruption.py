"""SIGTERM and Ctrl-C during training: wait for the step that is under way, save, exit."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A signal ended the run between two steps, and nothing is lost; the message says where it stands."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


@contextmanager
def listening() -> Iterator[Callable[[], int | None]]:
    """Inside it the first signal only sets what the given function answers, its number; a second one acts at once.

    Signals reach the main thread alone; in another thread nothing is changed, and the answer is always None.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def note(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        for each in SIGNALS:
            signal.signal(each, before[each])

    for number in SIGNALS:
        signal.signal(number, note)
    try:
        yield lambda: caught[0] if caught else None
    finally:
        for number in SIGNALS:
            signal.signal(number, before[number])
