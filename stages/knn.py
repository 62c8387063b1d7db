"""k-NN of every cell: final and initial features on test images, snapshots on validation images."""

from pathlib import Path

from _stage import stage

import torch

from collapselab.config.study import load_evaluation, read_params
from collapselab.data.dataset import load_split
from collapselab.evaluation.knn import accuracy, judge
from collapselab.files import write_json
from collapselab.runs import by_regime


@stage
def main() -> None:
    params = read_params()
    torch.set_num_threads(1)  # the bytes of a result may not depend on the number of cores
    config = load_evaluation(params).knn
    train, test = (load_split(Path("data") / params["data"]["source"], name) for name in ("train", "test"))
    baseline = accuracy(train.pixels(), train.labels, test.pixels(), test.labels, config)
    regimes = by_regime(params, lambda run: judge(run, config), "k-NN")
    result = {"schema": 1, **config.model_dump(), "pixels": {"knn": baseline}, "regimes": regimes}
    write_json(Path("runs") / params["study"] / "knn.json", result)


if __name__ == "__main__":
    main()
