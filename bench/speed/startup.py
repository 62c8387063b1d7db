"""From a process's start to the first step of a cell, beside a process that imports torch and makes one optimiser."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from bench.speed.measure import ROOT, in_own_process

QUICK = ROOT / "studies" / "quick.yaml"
BARE = "import torch; torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1).step()"
RUNS = 5
PARTS = {  # functions that training.cell and training.recorder call before a cell's first step
    "build": "building the networks",
    "make_probe": "the probe set",
    "calibrate_batch_norm": "batch-norm statistics",
    "write_features": "features at initialisation",
    "write_snapshot": "snapshot of step 0",
}


def measure(runs: int = RUNS) -> dict[str, float]:
    """Median seconds: `bare`, `cell` to the end of its first step, and of that what our own code took, by part."""
    from collapselab.config.study import load_study
    from collapselab.data.sources import download

    found: defaultdict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        download(load_study(QUICK).data, raw=Path(folder), out=Path(folder) / "data")
        for _ in range(runs):
            started = time.time()
            subprocess.run([sys.executable, "-c", BARE], check=True)
            found["bare"].append(time.time() - started)
            for name, took in in_own_process("bench.speed.startup", str(time.time()), folder).items():
                found[name].append(took)
    return {name: median(taken) for name, taken in found.items()}


def trace(started: float, folder: Path) -> None:
    """Run the first step of a cell of the default study and print what each part took."""
    parts: dict[str, float] = {}

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            begun = time.time()
            answer = call(*arguments, **options)
            parts[name] = parts.get(name, 0.0) + time.time() - begun
            return answer

        return run

    import torch
    import torch._dynamo  # the first optimiser imports it: part of the bare process, so none of ours

    begun = time.time()
    from collapselab.config.study import load_study
    from collapselab.data.dataset import SPLITS, load_manifest, load_split
    from collapselab.training import cell as module
    from collapselab.training import recorder
    from collapselab.training.process import prepare

    parts["imports of ours"] = time.time() - begun
    study = timed("params.yaml", load_study)(QUICK)
    prepare(study.training.threads)
    read = timed("reading the images", lambda: {name: load_split(folder / "data", name) for name in SPLITS})
    splits, manifest = read(), load_manifest(folder / "data")
    for name, part in PARTS.items():
        owner = module if hasattr(module, name) else recorder
        setattr(owner, name, timed(part, getattr(owner, name)))

    def advance(step: int, steps: int) -> None:
        print(f"cell={time.time() - started}")
        print(*(f"{name}={took}" for name, took in parts.items()), sep="\n", flush=True)
        os._exit(0)

    cell = module.Cell(study, "simsiam", 0, torch.device("cpu"))
    module.run_cell(cell, splits, manifest, folder / "run", advance=advance)


if __name__ == "__main__":
    trace(float(sys.argv[1]), Path(sys.argv[2]))
