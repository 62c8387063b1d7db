"""Two processes over gloo: the same values on both, and those of the average computed by hand."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

# Ranks see other images, with another offset; rank 1 alone collapses half-way, so only its own readings can name that.
WORKER = """
import json, sys, warnings
import numpy as np, torch, torch.distributed as dist
from collapselab.monitor import CollapseMonitor
warnings.simplefilter("ignore")
rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
idle = CollapseMonitor()
if rank == 0:
    for _ in range(3):
        idle.update(torch.randn(16, 4))
waiting = idle.compute()
monitor = CollapseMonitor(window=4, every=2)
for batch in np.load(f"{folder}/batches-{rank}.npy"):
    monitor.update(torch.from_numpy(batch))
found = monitor.compute()
monitor.update(torch.from_numpy(batch))  # states are the rank's own again
alone = float(monitor.images)
named = [w.kind for w in monitor.warnings]
told = {"waiting": waiting, "found": found, "named": named, "images": alone}
json.dump(told, open(f"{folder}/{rank}.json", "w"))
dist.destroy_process_group()
"""


def test_ranks_agree_on_the_average_of_their_own_batches(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    batches = [(rng.standard_normal((20, 40, 6)) * [3, 2, 1, 1, 0.5, 0.2] + 5 * rank) for rank in range(2)]
    batches[1][10:] = batches[1][10:].mean((1, 2), keepdims=True) + 1e-3 * batches[1][10:]
    batches = [part.astype(np.float32) for part in batches]
    for rank, part in enumerate(batches):
        np.save(tmp_path / f"batches-{rank}.npy", part)
    workers = [subprocess.Popen([sys.executable, "-c", WORKER, str(rank), str(tmp_path)]) for rank in range(2)]
    assert [worker.wait(timeout=300) for worker in workers] == [0, 0]
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))

    # A rank without a batch takes part, and adds nothing.
    assert first["waiting"] == second["waiting"] and 1 < first["waiting"]["effective_rank"] <= 4
    assert first["found"] == second["found"]
    weights = np.array([0.75 ** (19 - k) for k in range(20)])
    covariances = [[np.cov(batch, rowvar=False, bias=True) for batch in part.astype(np.float64)] for part in batches]
    average = np.einsum("k,rkij->ij", weights, np.array(covariances)) / (2 * weights.sum())
    p = np.linalg.eigvalsh(average) / np.trace(average)
    assert first["found"]["log_trace"] == pytest.approx(math.log(np.trace(average)), abs=1e-5)
    assert first["found"]["spectral_entropy_rank"] == pytest.approx(math.exp(-(p * np.log(p)).sum()), rel=1e-4)

    # What one rank named, both count; each keeps its own warnings and, after `compute`, its own sums.
    assert (first["named"], second["named"]) == ([], ["complete"])
    assert first["found"]["alarms"] == 1
    assert first["images"] == pytest.approx(40 * sum(0.75**k for k in range(21)))
