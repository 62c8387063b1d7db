"""The registry of metrics: what each needs, what exactly it is, and its version. Nothing else in the code lists metrics."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from collapselab.collapse.evidence import Evidence

Value = float | None


@dataclass(frozen=True)
class Spec:
    """What exactly a value is; stored beside it.

    `falls`: which way a collapse of the kind that it sees moves it, "down" or "up"; "" for a value that only explains others.
    """

    formula: str
    source: str
    centring: str = "none"
    normalisation: str = "none"
    epsilon: float = 0.0
    range: str = "0 to infinity"
    sees: str = ""
    blind_to: str = ""
    falls: Literal["down", "up", ""] = ""
    version: int = 1


@dataclass(frozen=True)
class Metric:
    """`compute` gives a float, or None where the value is undefined (for example a rank of rounding noise)."""

    name: str
    needs: tuple[str, ...]
    spec: Spec
    compute: Callable[[Evidence], Value] = field(repr=False)

    def images(self, evidence: Evidence) -> int:
        """How many images the value is taken from; how many weight layers, if it is of gradients."""
        need = self.needs[0]
        if need == "views":
            return len(evidence.view_rows)
        if need == "tokens" and evidence.tokens is not None:
            return len(evidence.tokens.images)
        return len(getattr(evidence, need))


METRICS: dict[str, Metric] = {}


def metric(*needs: str, spec: Spec) -> Callable[[Callable[[Evidence], Value]], Callable[[Evidence], Value]]:
    """Register a function under its own name.

    `needs` are names of Evidence's attributes; the first is what the value is taken over ("rows" for pairwise measures).
    """

    def register(compute: Callable[[Evidence], Value]) -> Callable[[Evidence], Value]:
        name = compute.__name__
        if name in METRICS:
            raise ValueError(f"two metrics are called {name}")
        METRICS[name] = Metric(name, needs, spec, compute)
        return compute

    return register


@cache
def load_metrics() -> dict[str, Metric]:
    """All metrics: each file of metrics/ registers its own when it is imported."""
    from collapselab.collapse import metrics

    for module in sorted(info.name for info in pkgutil.iter_modules(metrics.__path__)):
        importlib.import_module(f"{metrics.__name__}.{module}")
    return METRICS


def compute_all(evidence: Evidence, only: Iterable[str] | None = None) -> dict[str, Value]:
    """Every metric (or those of `only`) whose needs the evidence meets, by name."""
    found = load_metrics()
    return {
        name: found[name].compute(evidence)
        for name in sorted(found if only is None else only)
        if all(evidence.has(need) for need in found[name].needs)
    }
