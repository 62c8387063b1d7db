"""Spectra, metrics and verdicts of every cell, from its snapshots alone."""

from pathlib import Path

from _stage import stage

from threadpoolctl import threadpool_limits

from collapselab.collapse.measure import measure, write
from collapselab.config.study import read_params
from collapselab.runs import by_regime


@stage
def main() -> None:
    params = read_params()
    with threadpool_limits(1):  # the bytes of a result may not depend on the number of cores
        regimes = by_regime(params, measure, "collapse")
    write(Path("runs") / params["study"] / "collapse", regimes)


if __name__ == "__main__":
    main()
