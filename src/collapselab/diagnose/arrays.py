"""Array files of strangers -> arrays by name. Nothing here ever runs a pickle, and large arrays stay on disk."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from collapselab.errors import UserError
from collapselab.files import Arrays

FORMATS = (".npy", ".npz", ".safetensors")
TORCH = (".pt", ".pth", ".ckpt", ".bin")
PICKLES = (".pkl", ".pickle", ".p", ".joblib")
_TYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
    "BOOL": "|b1",
}


@dataclass(frozen=True)
class File:
    """An array file that was opened.

    Attributes:
        arrays: by name; the one array of an .npy file has the name "". Arrays of .npy and .safetensors are memory-mapped.
        about: the metadata that this product stores with its own files, empty for others.
        refused: names of arrays that only a pickle could give.
    """

    path: Path
    arrays: Arrays
    about: dict[str, Any] = field(default_factory=dict)
    refused: tuple[str, ...] = ()

    def list(self) -> str:
        """Its arrays with their shapes, for messages."""
        listed = [f"{name or 'the array'} {array.shape}" for name, array in self.arrays.items()]
        listed += [f"{name} (objects: only a pickle could give it)" for name in self.refused]
        return ", ".join(listed) or "no array"


def open_file(path: Path) -> File:
    """Open an .npy, .npz or .safetensors file.

    Raises UserError where it is missing, damaged, pickled or of another format.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder: give a file ({', '.join(FORMATS)})")
    suffix = path.suffix.lower()
    if suffix not in FORMATS and path.exists():
        raise UserError(f"{path}: {_other_format(path)}")
    if not path.is_file():
        raise UserError(f"{path} is missing: check the path")
    _check_start(path, suffix)
    opened = {".npy": _npy, ".npz": _npz, ".safetensors": _safetensors}[suffix](path)
    if not opened.arrays and not opened.refused:
        raise UserError(f"{path} holds no array: save the features into it again")
    return opened


def _other_format(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix in TORCH:
        return (
            f"{suffix} files are never loaded, a pickle can run code; save the tensor as .npy or .safetensors: "
            "np.save('features.npy', features.float().cpu().numpy())"
        )
    if suffix in PICKLES:
        return (
            f"{suffix} files are never loaded, a pickle can run code; save the array as .npy or .safetensors: "
            "np.save('features.npy', np.asarray(features, dtype='float32'))"
        )
    kind = f"files of type {suffix}" if suffix else "files without a suffix"
    return f"{kind} are not read; save as {', '.join(FORMATS[:2])} or {FORMATS[2]}: np.save('features.npy', features)"


def _npy(path: Path) -> File:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise _unreadable(path, error) from error
    return File(path, {"": array})


def _npz(path: Path) -> File:
    arrays: Arrays = {}
    refused = []
    try:
        with np.load(path, allow_pickle=False) as members:
            for name in members.files:
                try:
                    if isinstance(member := members[name], np.ndarray):  # a file of another kind comes as bytes
                        arrays[name] = member
                except ValueError as error:
                    if "allow_pickle" not in str(error):
                        raise
                    refused.append(name)
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, AttributeError) as error:
        raise _unreadable(path, error) from error
    return File(path, arrays, refused=tuple(refused))


def _check_start(path: Path, suffix: str) -> None:
    """NumPy takes whatever is no array for a pickle, and names allow_pickle as the way in: no advice to pass on."""
    with path.open("rb") as file:
        start = file.read(6)
    if not start:
        raise UserError(f"{path} is empty: write it again")
    if not start.startswith({".npy": b"\x93NUMPY", ".npz": b"PK", ".safetensors": b""}[suffix]):
        raise UserError(f"{path} is no {suffix} file, whatever its name says: save the features into it again")


def _unreadable(path: Path, error: Exception) -> UserError:
    if "Python objects" in str(error) or "Object arrays" in str(error):
        return UserError(
            f"{path} holds Python objects, which only a pickle could give: save plain numbers, "
            "np.save('features.npy', np.asarray(features, dtype='float32'))"
        )
    return UserError(f"{path} is truncated or damaged: write it again ({' '.join(str(error).split())})")


def _safetensors(path: Path) -> File:
    try:
        with safe_open(path, framework="numpy") as file:  # checks the whole header against the file's length
            names = sorted(file.keys())
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is truncated or no safetensors file: write it again ({error})") from error
    with path.open("rb") as raw:
        length = int.from_bytes(raw.read(8), "little")
        header = json.loads(raw.read(length))
    arrays = {name: _tensor(path, header[name], 8 + length) for name in names}
    return File(path, arrays, _about(header))


def _tensor(path: Path, entry: dict[str, Any], base: int) -> NDArray[Any]:
    """One tensor, left on disk; bfloat16, which NumPy lacks, as float32."""
    kind, shape, start = entry["dtype"], tuple(entry["shape"]), base + entry["data_offsets"][0]
    if kind != "BF16" and kind not in _TYPES:
        # Of a type that is no use here (float8): its shape is kept for lists, its type is refused when it is chosen.
        return np.broadcast_to(np.zeros((), dtype="V1"), shape)
    stored = np.dtype("<u2" if kind == "BF16" else _TYPES[kind])
    if 0 in shape:
        return np.zeros(shape, dtype=np.float32 if kind == "BF16" else stored)
    array = np.memmap(path, dtype=stored, mode="r", offset=start, shape=shape or (1,)).reshape(shape)
    return (array.astype(np.uint32) << 16).view(np.float32) if kind == "BF16" else array


def _about(header: dict[str, Any]) -> dict[str, Any]:
    try:
        about = json.loads(header.get("__metadata__", {}).get("about", "{}"))
    except json.JSONDecodeError:
        return {}
    return about if isinstance(about, dict) else {}
