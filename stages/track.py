"""Bring MLflow to what the stages wrote."""

from collapselab.tracking import find_root, track

from _stage import stage


@stage
def main() -> None:
    print(*track(find_root()).lines(), sep="\n")


if __name__ == "__main__":
    main()
