"""How fast, against peers that a user would otherwise run; `collapselab bench NAME` runs one, `make speed` all."""

from __future__ import annotations

import importlib

from bench.speed.measure import PAIRS, Result

NAMES = ("pretrain", "augment", "knn", "spectra", "gpu")


def run(name: str, pairs: int = PAIRS) -> Result:
    """The benchmark of that name, each in a file of its own."""
    result: Result = importlib.import_module(f"{__name__}.{name}").measure(pairs)
    return result
