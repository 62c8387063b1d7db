"""Spectra, metrics, verdicts and what became of recorded factors, for every cell, from its snapshots and features alone."""

import os
from functools import partial
from pathlib import Path

from _stage import stage

from threadpoolctl import threadpool_limits

from collapselab.collapse.baseline import DataBaseline
from collapselab.collapse.measure import Measured, measure
from collapselab.collapse.output import write
from collapselab.config.study import read_params
from collapselab.data.dataset import SPLITS, load_split
from collapselab.files import read_json
from collapselab.runs import Run, by_regime


def measure_alone(run: Run, data: DataBaseline) -> Measured:
    with threadpool_limits(1):  # the bytes of a result may not depend on the number of cores
        return measure(run, data)


@stage
def main() -> None:
    params = read_params()
    folder = Path("runs") / params["study"]
    train, validation, test = (load_split(Path("data") / params["data"]["source"], split) for split in SPLITS)
    with threadpool_limits(1):
        data = DataBaseline.of(train, validation, test)
    regimes = by_regime(params, partial(measure_alone, data=data), "collapse", processes=os.cpu_count() or 1)
    write(folder / "collapse", regimes, read_json(folder / "knn.json"), data)


if __name__ == "__main__":
    main()
