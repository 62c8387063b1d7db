"""Spectra, metrics and verdicts of every cell, from its snapshots alone."""

import os
from pathlib import Path

from _stage import stage

from threadpoolctl import threadpool_limits

from collapselab.collapse.measure import Measured, measure
from collapselab.collapse.output import write
from collapselab.config.study import read_params
from collapselab.files import read_json
from collapselab.runs import Run, by_regime


def measure_alone(run: Run) -> Measured:
    with threadpool_limits(1):  # the bytes of a result may not depend on the number of cores
        return measure(run)


@stage
def main() -> None:
    params = read_params()
    folder = Path("runs") / params["study"]
    regimes = by_regime(params, measure_alone, "collapse", processes=os.cpu_count() or 1)
    write(folder / "collapse", regimes, read_json(folder / "knn.json"))


if __name__ == "__main__":
    main()
