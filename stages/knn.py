"""k-NN of every cell: final and initial features on test images, snapshots on validation images."""

from pathlib import Path

from _stage import stage

import torch

from collapselab.config.study import load_evaluation, read_params
from collapselab.data.dataset import load_split
from collapselab.evaluation.answers import UNLABELLED, entries, labelled, write_answers
from collapselab.evaluation.knn import judge, right
from collapselab.files import write_json
from collapselab.runs import by_regime


@stage
def main() -> None:
    params = read_params()
    torch.set_num_threads(1)  # the bytes of a result may not depend on the number of cores
    config = load_evaluation(params).knn
    train, test = (load_split(Path("data") / params["data"]["source"], name) for name in ("train", "test"))
    pixels = None
    if labelled(train.labels):
        pixels = right(train.pixels(), train.labels, test.pixels(), test.labels, config)
    else:
        print(f"knn: {UNLABELLED}")
    regimes = by_regime(params, lambda run: judge(run, config), "k-NN")
    baseline = None if pixels is None else float(pixels.mean())
    result = {"schema": 1, **config.model_dump(), "pixels": {"knn": baseline}, "regimes": entries(regimes)}
    folder = Path("runs") / params["study"]
    write_json(folder / "knn.json", result)
    write_answers(folder / "answers" / "knn.safetensors", regimes, pixels, test)


if __name__ == "__main__":
    main()
