"""Which committed reports today's code and params would no longer give."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from collapselab.config.study import read_params
from collapselab.files import read_json, sha256
from collapselab.sources import hash_sources
from collapselab.toys.provenance import sources as toys_sources

SCHEMA = 1


def provenance(params: dict[str, Any], root: Path = Path()) -> dict[str, Any]:
    """What shaped a report: the params as values (a comment changes nothing), and the code that stages depend on.

    Library versions, the CPU and the data are not in it: data have their manifest, and the report its fingerprint.
    """
    return {"schema": SCHEMA, "params": _hash_params(params), "sources": hash_sources(params, root)}


def stale_reports(root: Path = Path()) -> list[str]:
    """One line for each report of reports/ that would be different, or can't be judged, with what changed."""
    reports = sorted(path.parent for path in (root / "reports").glob("*/metrics.json"))
    checked = [(report.name, _changes(root, report)) for report in reports]
    checked += [(report.name, _toys(root, report)) for report in [root / "reports" / "toys"] if report.is_dir()]
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


def _toys(root: Path, report: Path) -> list[str]:
    """The same of the linear theory's page, which no params shape."""
    if not (report / "provenance.json").is_file():
        return ["has no provenance.json"]
    return list(_compare(read_json(report / "provenance.json")["sources"], toys_sources(root)))


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
