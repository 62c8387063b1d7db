"""The code that the page of the linear theory is made from, for `collapselab check-reports`."""

from __future__ import annotations

from pathlib import Path

from collapselab.files import sha256_file

OTHERS = ("diagnose/style.css", "files.py", "randomness.py", "report/build.py", "report/svg.py", "report/tables.py")


def sources(root: Path) -> dict[str, str]:
    """sha256 of each file, by its path below `root`."""
    package = root / "src" / "collapselab"
    own = [path for path in (package / "toys").iterdir() if path.suffix in (".py", ".j2")]
    files = sorted([*own, *(package / name for name in OTHERS)])
    return {path.relative_to(root).as_posix(): sha256_file(path) for path in files}
