"""Which committed reports today's code and params would no longer give."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from collapselab.config.study import read_params
from collapselab.errors import UserError
from collapselab.files import read_json, sha256, sha256_file

SCHEMA = 1
OURS = ("src/", "stages")  # dependencies of a stage that are code


def provenance(params: dict[str, Any], root: Path = Path()) -> dict[str, Any]:
    """What shaped a report: the params as values (a comment changes nothing), and the code that stages depend on.

    Library versions, the CPU and the data are not in it: data have their manifest, and the report its fingerprint.
    """
    return {"schema": SCHEMA, "params": _hash_params(params), "sources": _hash_sources(params, root)}


def stale_reports(root: Path = Path()) -> list[str]:
    """One line for each report of reports/ that would be different, or can't be judged, with what changed."""
    reports = sorted(path.parent for path in (root / "reports").glob("*/metrics.json"))
    checked = ((report.name, _changes(root, report)) for report in reports)
    return [f"reports/{name}: {'; '.join(changes)}" for name, changes in checked if changes]


def _changes(root: Path, report: Path) -> list[str]:
    study = root / "studies" / f"{report.name}.yaml"
    if not (report / "provenance.json").is_file():
        return ["has no provenance.json"]
    if not study.is_file():
        return [f"studies/{study.name} is gone"]
    then, params = read_json(report / "provenance.json"), read_params(study)
    now = provenance(params, root)
    changes = [f"studies/{study.name} changed"] if then["params"] != now["params"] else []
    return changes + list(_compare(then["sources"], now["sources"]))


def _compare(then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for path in sorted({*then, *now}):
        if path not in now:
            yield f"{path} is no dependency any more"
        elif path not in then:
            yield f"{path} is a new dependency"
        elif then[path] != now[path]:
            yield f"{path} changed"


def _hash_params(params: dict[str, Any]) -> str:
    return sha256(json.dumps(params, sort_keys=True).encode())


def _hash_sources(params: dict[str, Any], root: Path) -> dict[str, str]:
    files = sorted({file for dependency in dependencies(params, root) for file in _files(root / dependency)})
    return {file.relative_to(root).as_posix(): sha256_file(file) for file in files}


def dependencies(params: dict[str, Any], root: Path = Path()) -> list[str]:
    """The code that dvc.yaml's stages name under `deps`, with ${key} and ${item.NAME} of a foreach filled in."""
    pipeline, found = root / "dvc.yaml", set[str]()
    if not pipeline.is_file():
        raise UserError(f"{pipeline} is missing: it names the code that a report depends on; bring it back with git")
    for stage in read_params(pipeline)["stages"].values():
        for dependency in (stage.get("do") or stage).get("deps") or []:
            path = next(iter(dependency)) if isinstance(dependency, Mapping) else str(dependency)
            found.update(_filled(path, params) if "foreach" in stage else [path])
    ours = sorted(path for path in found if path.startswith(OURS))
    # A folder of which other stages name parts (the report names whole rooms, to be made again) says nothing that they don't.
    return [path for path in ours if not any(other.startswith(f"{path}/") for other in ours)]


def _filled(path: str, params: dict[str, Any]) -> list[str]:
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
