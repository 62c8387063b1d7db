"""Studies: complete params files under studies/, one of which is copied in at a time."""

from __future__ import annotations

import hashlib
from pathlib import Path

from collapselab.config.base import nearest
from collapselab.config.study import load_study
from collapselab.errors import UserError
from collapselab.files import write_bytes, write_text

FOLDER = Path("studies")
COPIED = ".copied-study"  # beside params.yaml: the hash of what was copied there last; git ignores it


def select(name: str, params: Path, folder: Path = FOLDER) -> None:
    """Copy studies/<name>.yaml to params.yaml, once it is known to be a valid study of that name.

    Raises UserError for an unknown name, a study that is not valid or has another name inside, or where params.yaml holds edits
    that no study file holds: they would be lost. A copy that was made here and not touched since may be replaced.
    """
    studies = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if name not in studies:
        raise UserError(f"no study {name!r} in {folder}/: {nearest(name, studies)}")
    chosen, copied = studies[name], params.with_name(COPIED)
    inside = load_study(chosen).study
    if inside != name:
        raise UserError(
            f"{chosen}: study = {inside!r}: must be the file's own name, {name!r}, which its report is called by"
        )
    wanted = chosen.read_bytes()
    held = params.read_bytes() if params.exists() else b""
    known = [path.read_bytes() for path in studies.values()]
    untouched = copied.is_file() and copied.read_text().strip() == _hash(held)
    if held.strip() and held not in known and not untouched:
        raise UserError(
            f"{params} holds edits that no file of {folder}/ holds, and {chosen} would replace them. Keep them with "
            f"`cp {params} {folder}/NAME.yaml` (and `study: NAME` inside), or drop them with `cp {chosen} {params}`"
        )
    if held != wanted:
        write_bytes(params, wanted)
    write_text(copied, f"{_hash(wanted)}\n")


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
