"""Train one regime over its seeds: python stages/pretrain.py REGIME."""

import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from _stage import stage

from collapselab.config.base import nearest
from collapselab.config.study import load_study, read_params
from collapselab.console import progress
from collapselab.data.dataset import SPLITS, load_manifest, load_split
from collapselab.errors import UserError
from collapselab.sources import hash_sources
from collapselab.training.cell import Cell, choose_device, run_cell
from collapselab.training.checkpoints import Checkpoints
from collapselab.training.process import prepare
from collapselab.training.workspace import Workspace, caller, claimed


@stage
def main(regime: str) -> None:
    study, working_for = load_study(), caller()
    if regime not in study.regimes:
        raise UserError(f"unknown regime {regime!r}: {nearest(regime, study.regimes)}")
    device = choose_device(study.training.device)
    prepare(study.training.threads)
    folder = Path("data") / study.data.source
    manifest = load_manifest(folder)
    splits = {name: load_split(folder, name) for name in SPLITS}
    sources = hash_sources({"regimes": {regime: read_params()["regimes"][regime]}}, stage="pretrain")
    done = []
    with ExitStack() as claims:
        for seed in study.seeds_of(regime):
            cell = Cell(study, regime, seed, device)
            say = partial(_say, f"pretrain@{regime}: seed {seed}")
            workspace = Workspace.of(study.study, regime, seed, cell.shapes(manifest, sources))
            claims.enter_context(claimed(workspace, say))
            with progress(f"{regime}, seed {seed}") as advance:
                run_cell(cell, splits, manifest, workspace.outputs, Checkpoints(workspace.checkpoints), advance, say)
            workspace.publish(Path("runs") / study.study / "pretrain" / regime / f"seed-{seed}")
            done.append(workspace)
        # An orphan leaves its work: the DVC that started it is gone, and the next one empties what was published.
        if caller() == working_for:
            for workspace in done:
                workspace.discard()


def _say(name: str, text: str) -> None:
    print(f"{name}: {text}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python stages/pretrain.py REGIME")
    main(sys.argv[1])
