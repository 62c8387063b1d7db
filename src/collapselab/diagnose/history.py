"""history.csv -> signatures of the loss."""

from __future__ import annotations

import csv
from pathlib import Path

from collapselab.collapse.signatures import COMMON, Signature, read
from collapselab.collapse.snapshot import Snapshot
from collapselab.errors import UserError


def signatures(path: Path, snapshot: Snapshot) -> list[Signature]:
    """What a loss curve says: a CSV with a header, one row a step, a column `loss` and its terms beside it.

    The softmaxes of the snapshot tell which ln K to look for. Raises UserError that names the file, the row and the fix.
    """
    heads = {layer.probabilities.shape[1] for layer in snapshot.layers.values() if layer.probabilities is not None}
    return read(columns(path), sorted({*COMMON, *heads}))


def columns(path: Path) -> dict[str, list[float]]:
    """Column -> values; columns that are no numbers are left out, empty cells are passed over."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.reader(lines))
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: --history takes a CSV of the loss, one row a step") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is no CSV ({error}): --history takes a header and one row a step") from error
    if len(rows) < 2 or "loss" not in rows[0]:
        seen = ", ".join(rows[0]) if rows and rows[0] else "none"
        raise UserError(f"{path} needs a header with a column `loss` and one row a step; its columns: {seen}")
    header, found = rows[0], {}
    for place, name in enumerate(header):
        cells = [(line, row[place]) for line, row in enumerate(rows[1:], 2) if place < len(row) and row[place] != ""]
        try:
            found[name] = [float(cell) for _, cell in cells]
        except ValueError as error:
            if name == "loss":
                line, bad = next((line, cell) for line, cell in cells if not _is_number(cell))
                raise UserError(f"{path}, line {line}: loss = {bad!r} is no number") from error
    return found


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
