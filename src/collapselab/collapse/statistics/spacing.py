"""How finely values were stored, told from the values alone."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.statistics.moments import Float


def spacing(values: Float) -> float:
    """The coarsest floating-point type that holds all `values` exactly, by its relative spacing."""
    with np.errstate(over="ignore", under="ignore"):
        stored = values.astype(np.float32)
    if not np.array_equal(stored, values):
        return float(np.finfo(np.float64).eps)
    if np.array_equal(stored, np.rint(stored)):  # counts fit into any type, and say nothing about it
        return float(np.finfo(np.float32).eps)
    kept = stored.view(np.uint32)
    if not (kept & np.uint32(0xFFFF)).any():
        return 2.0**-7  # bfloat16
    with np.errstate(over="ignore"):
        half = stored.astype(np.float16).astype(np.float32)
    return 2.0**-10 if np.array_equal(half, stored) else float(np.finfo(np.float32).eps)
