"""Reading and writing files: atomically, byte-stable, and never through a pickle."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from collapselab.errors import UserError

Arrays = dict[str, NDArray[Any]]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, renamed to it at the end: a reader sees the old file or the whole new one.

    Raises UserError when the disk or a size limit refuses; nothing half-written stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` atomically (see `replacing`)."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def unwritable(path: Path, error: OSError) -> UserError:
    """The message for a file that the system refuses to write."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    mend = "Free some space there" if full else "Mend that"
    return UserError(f"cannot write {path}: {error.strerror}. {mend}, then run the command again.")


def write_text(path: Path, content: str) -> None:
    write_bytes(path, content.encode())


def write_json(path: Path, value: Any) -> None:
    """JSON with a final newline, keys in the order given; NaN is refused because JSON has none (use None)."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: run `dvc repro` to make it") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} is not valid JSON ({error}): delete it and run `dvc repro` to make it again"
        ) from error


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_csv(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="") as lines:
            return list(csv.DictReader(lines))
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: run `dvc repro` to make it") from error


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any] | None = None) -> None:
    """A safetensors file; `about` goes, as sorted JSON, under the single metadata key "about".

    safetensors writes metadata keys in random order, so more than one key would break byte-identity.
    """
    metadata = {"about": json.dumps(about or {}, sort_keys=True)}
    ordered = {name: np.asarray(arrays[name], order="C") for name in sorted(arrays)}
    write_bytes(path, save(ordered, metadata=metadata))


def load_arrays(path: Path) -> Arrays:
    """The arrays of a safetensors file."""
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: run `dvc repro` to make it") from error
    except SafetensorError as error:
        raise UserError(f"{path} cannot be read ({error}): delete it and run `dvc repro` to make it again") from error


def load_about(path: Path) -> dict[str, Any]:
    """The metadata that `save_arrays` stored."""
    try:
        with safe_open(path, framework="numpy") as file:
            return dict(json.loads((file.metadata() or {}).get("about", "{}")))
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: run `dvc repro` to make it") from error
    except SafetensorError as error:
        raise UserError(f"{path} cannot be read ({error}): delete it and run `dvc repro` to make it again") from error


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
