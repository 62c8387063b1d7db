"""history.csv: one row a step, appended and flushed while the run goes on (the one file that is not written at once)."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TextIO

from collapselab.files import unwritable, write_bytes

FLUSH_EVERY = 10  # steps between flushes, so that a run can be followed


class History:
    """The file of one run, which begins with `content`: the rows of the steps that an earlier process took."""

    def __init__(self, path: Path, content: bytes = b"") -> None:
        write_bytes(path, content)
        self.path = path
        self._rows = content.count(b"\n")

    def __enter__(self) -> History:
        self._file: TextIO = self.path.open("a", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def append(self, row: dict[str, float]) -> None:
        """Add a row; the first one's keys are the header. Raises UserError where the disk refuses."""
        try:
            if not self._rows:
                self._writer.writerow(row)
                self._rows = 1
            self._writer.writerow(row.values())
            self._rows += 1
            if self._rows % FLUSH_EVERY == 0:
                self._file.flush()
        except OSError as error:
            raise unwritable(self.path, error) from error

    def content(self) -> bytes:
        """The whole file so far. Raises UserError where the disk refuses."""
        try:
            self._file.flush()
        except OSError as error:
            raise unwritable(self.path, error) from error
        return self.path.read_bytes()
