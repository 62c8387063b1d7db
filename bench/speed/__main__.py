"""Measure all parts, or those named, and write docs/speed.md and docs/speed.json. On a quiet machine: `make speed`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from bench.speed import NAMES, memory, page, recording, small, startup
from bench.speed.measure import PAIRS, ROOT, Part, Result, machine

from collapselab.errors import UserError
from collapselab.files import read_json

COMPARISONS = tuple(name for name in NAMES if name != "gpu")  # a machine of its own: docs/gpu.md
# What stands beside the comparisons, by its key in docs/speed.json.
COSTS: Mapping[str, Callable[[], Any]] = {
    "small": lambda: [asdict(one) for one in small.measure()],
    "startup_s": lambda: rounded(startup.measure(), 3),
    "memory_mib": lambda: {regime: rounded(memory.measure(regime), 1) for regime in ("frozen", "both")},
    "recording_share": lambda: {run: rounded(shares, 5) for run, shares in recording.measure().items()},
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.speed", description=__doc__)
    parts = [*COMPARISONS, *COSTS]
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(parts)}; default all")
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"turns of each comparison, default {PAIRS}")
    asked = parser.parse_args()
    if unknown := sorted(set(asked.parts) - set(parts)):
        parser.error(f"no part {', '.join(unknown)}: there are {', '.join(parts)}")
    try:
        found = before(machine()) if asked.parts else {"machine": machine(), "ratios": {}}
    except UserError as error:
        sys.exit(f"error: {error}")
    for name in asked.parts or parts:
        if name in COMPARISONS:
            found["ratios"][name] = compared(name, asked.pairs)
        else:
            found[name] = COSTS[name]()
    page.write(found)


def before(here: Mapping[str, Any]) -> dict[str, Any]:
    """What docs/speed.json says of all parts. Raises UserError where it was measured on another machine than `here`."""
    found: dict[str, Any] = read_json(page.DOCS / "speed.json")
    if found["machine"] != here:
        raise UserError(
            f"docs/speed.json was measured on {found['machine']}, this is {dict(here)}: one page holds one machine's times. "
            "Measure all parts: name none"
        )
    return found


def compared(name: str, pairs: int) -> dict[str, Any]:
    """A comparison, in a process of its own, so that none finds the memory, the threads or the caches of another."""
    code = (
        f"import json; from bench.speed import {name}; result = {name}.measure({pairs}"
        + (", ('flushed', 'denormal')" if name == "pretrain" else "")
        + "); print(json.dumps([result.peer, {n: [p.theirs, p.ours, dict(p.beside)] for n, p in result.parts.items()}]))"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    peer, parts = json.loads(answer.stdout.splitlines()[-1])
    result = Result(name, peer, {part: Part(*values) for part, values in parts.items()}).as_json()
    return {key: value for key, value in result.items() if key != "machine"}


def rounded(values: Mapping[str, float], digits: int) -> dict[str, float]:
    return {name: round(value, digits) for name, value in values.items()}


if __name__ == "__main__":
    main()
