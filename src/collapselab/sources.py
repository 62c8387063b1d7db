"""The code that dvc.yaml's stages depend on, and its hashes: what a report was made from, what a checkpoint belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from collapselab.config.study import read_params
from collapselab.errors import UserError
from collapselab.files import sha256_file

OURS = ("src/", "stages")  # dependencies of a stage that are code


def hash_sources(params: Mapping[str, Any], root: Path = Path(), *, stage: str | None = None) -> dict[str, str]:
    """sha256 of each file of code that the stages (or `stage` alone) name under `deps`, by its path below `root`.

    Args:
        params: raw params; of them, `regimes` says what a foreach runs over.

    Raises:
        UserError: where dvc.yaml, or a file that it names, is missing.
    """
    files = sorted(
        {file for dependency in dependencies(params, root, stage=stage) for file in _files(root / dependency)}
    )
    return {file.relative_to(root).as_posix(): sha256_file(file) for file in files}


def dependencies(params: Mapping[str, Any], root: Path = Path(), *, stage: str | None = None) -> list[str]:
    """The code that dvc.yaml's stages name under `deps`, with ${key} and ${item.NAME} of a foreach filled in."""
    pipeline, found = root / "dvc.yaml", set[str]()
    if not pipeline.is_file():
        raise UserError(f"{pipeline} is missing: it names the code that a report depends on; bring it back with git")
    for name, entry in read_params(pipeline)["stages"].items():
        if stage not in (None, name):
            continue
        for dependency in (entry.get("do") or entry).get("deps") or []:
            path = next(iter(dependency)) if isinstance(dependency, Mapping) else str(dependency)
            found.update(_filled(path, params) if "foreach" in entry else [path])
    ours = sorted(path for path in found if path.startswith(OURS))
    # A folder of which other stages name parts (the report names whole rooms, to be made again) says nothing that they don't.
    return [path for path in ours if not any(other.startswith(f"{path}/") for other in ours)]


def _filled(path: str, params: Mapping[str, Any]) -> list[str]:
    """`path` for each regime: the only mapping that a foreach of this pipeline runs over."""
    return [_fill(path, name, entry) for name, entry in params["regimes"].items()]


def _fill(path: str, key: str, item: Mapping[str, Any]) -> str:
    return re.sub(r"\$\{item\.(\w+)\}", lambda match: str(item.get(match[1], match[0])), path.replace("${key}", key))


def _files(path: Path) -> list[Path]:
    """The file, or all that git would keep of a folder."""
    if path.is_dir():
        return [file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    if not path.is_file():
        raise UserError(f"{path} is missing, but dvc.yaml names it under `deps`: mend dvc.yaml, or bring the file back")
    return [path]
