"""The monitor's early warning on the default study: which kind, how many steps before k-NN falls, how often falsely.

    python -m bench.monitor           # minutes on one core; writes docs/monitor.md
    python -m bench.monitor --fast    # two seeds, few steps: a test of the bench, no claim

Regimes that lost a guard and their guard-on twins are trained as the pipeline trains them, with a monitor at the
representation and one where the loss acts. Limits are set by the healthy runs of the other seeds. What the monitor costs
is measured in the same command.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.monitor.cost import ROUNDS, measure
from bench.monitor.page import PAIRS, page
from bench.monitor.runs import Data, watch
from threadpoolctl import threadpool_limits

from collapselab.files import write_text
from collapselab.training.process import prepare

OUT = Path(__file__).parents[2] / "docs" / "monitor.md"
SEEDS, STEPS = (0, 1, 2), 200
WHOLE = (0,)  # seeds whose healthy runs go on to their end, for later false alarms: a minute more for each
ALSO = ("notebook-ema", "dino-tokens")  # healthy as well, and cheap: more runs that may raise a false alarm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="two seeds, a dozen steps")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"at which runs are cut (default: {STEPS})")
    parser.add_argument("--out", type=Path, default=OUT, help="default: docs/monitor.md")
    chosen = parser.parse_args()
    prepare(1)
    data = Data.load()
    seeds, steps = ((0, 1), 12) if chosen.fast else (SEEDS, chosen.steps)
    with threadpool_limits(1):
        regimes = dict.fromkeys([*PAIRS, *PAIRS.values(), *ALSO])
        whole = () if chosen.fast else WHOLE
        runs = [
            watch(data, regime, seed, steps, whole=seed in whole and regime not in PAIRS)
            for regime in regimes
            for seed in seeds
        ]
        cost = measure(1 if chosen.fast else ROUNDS)
    write_text(chosen.out, page(runs, data.study.training.snapshots.queries, cost))


if __name__ == "__main__":
    main()
