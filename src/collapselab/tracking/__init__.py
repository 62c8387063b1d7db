"""MLflow as a projection of what the stages wrote. DVC's files are the truth.

A stage that DVC restores from its cache never executes, so tracking inside a stage would be lost on a clone. Instead
`track` reads the files and `dvc.lock`, gives every run that they call for a fingerprint, and brings MLflow to that:

- an experiment for each study; in it a parent run for each regime and seed (tag `stage` = `cell`) with what a person
  compares, and under it a child for each stage that worked on it, with its curves; one run (`stage` = `study`) for the
  study as a whole, with the report;
- a run whose fingerprint is current is kept; older versions stay, tagged `superseded`; a run that becomes current again
  loses that tag; a run that was never finished is replaced.

On a tracking server that several people use, one experiment shows the version of whoever tracked last.
"""

from __future__ import annotations

from pathlib import Path

from collapselab.errors import UserError
from collapselab.tracking.projection import Tracked, track
from collapselab.tracking.server import Store, check_port, comparison_url

__all__ = ["Store", "Tracked", "check_port", "comparison_url", "find_root", "follow", "track"]


def find_root(start: Path | None = None) -> Path:
    """The nearest folder, from `start` (the working directory) upwards, that holds dvc.yaml.

    Raises UserError where there is none.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").is_file():
            return folder
    raise UserError(f"no dvc.yaml in {here} or above it: run this inside the repository")


def follow(root: Path, interval: float = 5.0) -> None:
    """Log trainings in progress to MLflow as they go; see `collapselab.tracking.live.follow`."""
    from collapselab.tracking import live

    live.follow(root, interval)
