"""Train one regime over its seeds: python stages/pretrain.py REGIME."""

import sys
from pathlib import Path

from _stage import stage

import torch

from collapselab.config.base import nearest
from collapselab.config.study import load_study
from collapselab.console import progress
from collapselab.data.dataset import SPLITS, load_manifest, load_split
from collapselab.errors import UserError
from collapselab.training.loop import Cell, choose_device, run_cell


@stage
def main(regime: str) -> None:
    study = load_study()
    if regime not in study.regimes:
        raise UserError(f"unknown regime {regime!r}: {nearest(regime, study.regimes)}")
    device = choose_device(study.training.device)
    torch.set_num_threads(study.training.threads or torch.get_num_threads())
    torch.set_flush_denormal(
        True
    )  # a saturated regime fills its gradients with denormals, which slow a CPU up to five times
    folder = Path("data") / study.data.source
    manifest = load_manifest(folder)
    splits = {name: load_split(folder, name) for name in SPLITS}
    for seed in study.seeds_of(regime):
        out = Path("runs") / study.study / "pretrain" / regime / f"seed-{seed}"
        with progress(f"{regime}, seed {seed}") as advance:
            run_cell(Cell(study, regime, seed, device), splits, manifest, out, advance)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python stages/pretrain.py REGIME")
    main(sys.argv[1])
