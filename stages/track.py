"""Bring MLflow to what the stages wrote."""

from _stage import stage

from collapselab.tracking import find_root, track


@stage
def main() -> None:
    print(*track(find_root()).lines(), sep="\n")


if __name__ == "__main__":
    main()
