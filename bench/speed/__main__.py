"""Measure everything and write docs/speed.md and docs/speed.json. On a quiet machine: `make speed`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from bench.speed import NAMES, memory, page, recording, small, startup
from bench.speed.measure import PAIRS, Part, Result

ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"turns of each comparison, default {PAIRS}")
    pairs = parser.parse_args().pairs
    results = [_in_own_process(name, pairs) for name in NAMES if name != "gpu"]  # a machine of its own: docs/gpu.md
    found = {regime: memory.measure(regime) for regime in ("frozen", "both")}
    page.write(results, small.measure(), startup.measure(), found, recording.measure())


def _in_own_process(name: str, pairs: int) -> Result:
    """So that no benchmark finds the memory, the threads or the caches of another."""
    code = (
        f"import json; from bench.speed import {name}; result = {name}.measure({pairs}"
        + (", ('flushed', 'denormal')" if name == "pretrain" else "")
        + "); print(json.dumps([result.peer, {n: [p.theirs, p.ours, dict(p.beside)] for n, p in result.parts.items()}]))"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    peer, parts = json.loads(answer.stdout.splitlines()[-1])
    return Result(name, peer, {part: Part(*values) for part, values in parts.items()})


if __name__ == "__main__":
    main()
