"""Show what each branch of each regime really sees."""

from pathlib import Path

from _stage import stage

from collapselab.config.study import load_study
from collapselab.data.dataset import load_manifest, load_split
from collapselab.preview import write_preview


@stage
def main() -> None:
    study = load_study()
    folder = Path("data") / study.data.source
    sheets = write_preview(
        study, load_split(folder, "train"), load_manifest(folder), Path("runs") / study.study / "preview"
    )
    print(f"{len(sheets)} contact sheets in runs/{study.study}/preview")


if __name__ == "__main__":
    main()
