"""Linear probe of every cell: final and initial features of each layer, on test images."""

import os
from functools import partial
from pathlib import Path

from _stage import stage

from collapselab.config.study import load_evaluation, read_params
from collapselab.data.dataset import load_split
from collapselab.evaluation.answers import ORIGINAL, UNLABELLED, entries, labelled, write_answers
from collapselab.evaluation.linear_probe import judge, probe
from collapselab.files import write_json
from collapselab.runs import by_regime


@stage
def main() -> None:
    params = read_params()
    config = load_evaluation(params).linear_probe
    train, test = (load_split(Path("data") / params["data"]["source"], name) for name in ("train", "test"))
    originals = train.factors.get(ORIGINAL)
    pixels = None
    if labelled(train.labels):
        pixels = probe(train.pixels(), train.labels, test.pixels(), test.labels, config, originals)
    else:
        print(f"linear_probe: {UNLABELLED}")
    judged = partial(judge, config=config, originals=originals)
    regimes = by_regime(params, judged, "linear probe", processes=os.cpu_count() or 1)
    result = {
        "schema": 2,
        "solver": config.solver,
        "pixels": {"linear": pixels.accuracy if pixels else None},
        "regimes": entries(regimes),
    }
    folder = Path("runs") / params["study"]
    write_json(folder / "linear_probe.json", result)
    write_answers(folder / "answers" / "linear_probe.safetensors", regimes, pixels.right if pixels else None, test)


if __name__ == "__main__":
    main()
