"""Studies: complete params files under studies/, one of which is copied in at a time."""

from __future__ import annotations

from pathlib import Path

from collapselab.config.base import nearest
from collapselab.errors import UserError
from collapselab.files import write_bytes

FOLDER = Path("studies")


def select(name: str, params: Path, folder: Path = FOLDER) -> None:
    """Copy studies/<name>.yaml to params.yaml.

    Raises UserError for an unknown name, or where params.yaml holds edits that no study file holds: they would be lost.
    """
    studies = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if name not in studies:
        raise UserError(f"no study {name!r} in {folder}/: {nearest(name, studies)}")
    wanted = studies[name].read_bytes()
    if params.exists():
        held = params.read_bytes()
        if held == wanted:
            return
        if held.strip() and held not in (path.read_bytes() for path in studies.values()):
            raise UserError(
                f"{params} holds edits that no file of {folder}/ holds, and {studies[name]} would replace them. Keep them with "
                f"`cp {params} {folder}/NAME.yaml` (and `study: NAME` inside), or drop them with `cp {studies[name]} {params}`"
            )
    write_bytes(params, wanted)
