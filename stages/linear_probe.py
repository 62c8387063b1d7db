"""Linear probe of every cell: final and initial features on test images."""

from pathlib import Path

from _stage import stage

from collapselab.config.study import load_evaluation, read_params
from collapselab.data.dataset import load_split
from collapselab.evaluation.linear_probe import judge, probe
from collapselab.files import write_json
from collapselab.runs import by_regime


@stage
def main() -> None:
    params = read_params()
    config = load_evaluation(params).linear_probe
    train, test = (load_split(Path("data") / params["data"]["source"], name) for name in ("train", "test"))
    baseline = probe(train.pixels(), train.labels, test.pixels(), test.labels, config)
    regimes = by_regime(params, lambda run: judge(run, config), "linear probe")
    result = {"schema": 1, "pixels": {"linear": baseline.accuracy}, "regimes": regimes}
    write_json(Path("runs") / params["study"] / "linear_probe.json", result)


if __name__ == "__main__":
    main()
