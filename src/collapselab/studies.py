"""Studies: complete params files under studies/, one of which is copied in at a time."""

from __future__ import annotations

from pathlib import Path

from collapselab.config.base import nearest
from collapselab.config.study import Study, load_study
from collapselab.errors import UserError
from collapselab.files import sha256_file, write_bytes, write_text

FOLDER = Path("studies")
COPIED = ".copied-study"  # beside params.yaml: the hash of what was copied there last; git ignores it


def select(name: str, params: Path, folder: Path = FOLDER) -> Study:
    """Copy studies/<name>.yaml to params.yaml, once it is known to be a valid study of that name; the study.

    Raises UserError for an unknown name, a study that is not valid or has another name inside, or where params.yaml holds edits
    that no study file holds: they would be lost. A copy that was made here and not touched since may be replaced.
    """
    studies = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if name not in studies:
        raise UserError(f"no study {name!r} in {folder}/: {nearest(name, studies)}")
    chosen, copied = studies[name], params.with_name(COPIED)
    study = load_study(chosen)
    if study.study != name:
        raise UserError(
            f"{chosen}: study = {study.study!r}: must be the file's own name, {name!r}, which its report is called by"
        )
    wanted = chosen.read_bytes()
    held = params.read_bytes() if params.exists() else b""
    known = [path.read_bytes() for path in studies.values()]
    if held.strip() and held not in known and not (copied.is_file() and copied.read_text() == sha256_file(params)):
        raise UserError(
            f"{params} holds edits that no file of {folder}/ holds, and {chosen} would replace them. Keep them with "
            f"`cp {params} {folder}/NAME.yaml` (and `study: NAME` inside), or drop them with `cp {chosen} {params}`"
        )
    if held != wanted:
        write_bytes(params, wanted)
    write_text(copied, sha256_file(params))
    return study
