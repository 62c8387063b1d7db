"""Make the study's data set: images, labels, factors and a manifest."""

from pathlib import Path

from _stage import stage

from collapselab.config.study import load_study
from collapselab.data.sources import download
from collapselab.evaluation.labels import check_labels


@stage
def main() -> None:
    study = load_study()
    data = study.data
    manifest = download(data, raw=Path("data/raw"), out=Path("data") / data.source)
    check_labels(study, manifest)
    counts = ", ".join(f"{count} {name}" for name, count in manifest.counts.items())
    print(f"{manifest.source}: {counts} images, {len(manifest.classes)} classes; {manifest.origin}")


if __name__ == "__main__":
    main()
