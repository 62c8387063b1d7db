"""The registry of metrics: what each needs, what exactly it is, and its version. Nothing else in the code lists metrics."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from collapselab.collapse.moments import Moments


@dataclass(frozen=True)
class Evidence:
    """What is known of one layer at one step; None where a snapshot has no such view.

    Attributes:
        sample: [N, d], one vector an image, eval mode, clean.
        views: [M, q, d], q augmented views of M images.
        probabilities: [N, K], the layer's softmax as the loss takes it, averaged over an image's tokens.
        entropies: [N], entropy of that softmax (of each token, then averaged), nats.
        tokens: moments of all token outputs.
    """

    sample: NDArray[Any]
    views: NDArray[Any] | None = None
    probabilities: NDArray[Any] | None = None
    entropies: NDArray[Any] | None = None
    tokens: Moments | None = None

    @cached_property
    def moments(self) -> Moments:
        return Moments.of(self.sample)

    def has(self, need: str) -> bool:
        return getattr(self, need) is not None


@dataclass(frozen=True)
class Spec:
    """What exactly a value is; stored beside it."""

    formula: str
    source: str
    centring: str = "none"
    normalisation: str = "none"
    epsilon: float = 0.0
    range: str = "0 to infinity"
    blind_to: str = ""
    version: int = 1


@dataclass(frozen=True)
class Metric:
    """`compute` gives a float, or None where the value is undefined (for example a rank of rounding noise)."""

    name: str
    needs: tuple[str, ...]
    spec: Spec
    compute: Callable[[Evidence], float | None] = field(repr=False)


METRICS: dict[str, Metric] = {}


def metric(
    *needs: str, spec: Spec
) -> Callable[[Callable[[Evidence], float | None]], Callable[[Evidence], float | None]]:
    """Register a function under its own name; `needs` are names of Evidence's attributes."""

    def register(compute: Callable[[Evidence], float | None]) -> Callable[[Evidence], float | None]:
        name = compute.__name__
        if name in METRICS:
            raise ValueError(f"two metrics are called {name}")
        METRICS[name] = Metric(name, needs, spec, compute)
        return compute

    return register


def load_metrics() -> dict[str, Metric]:
    """All metrics: each file of metrics/ registers its own when it is imported."""
    from collapselab.collapse import metrics

    for module in sorted(info.name for info in pkgutil.iter_modules(metrics.__path__)):
        importlib.import_module(f"{metrics.__name__}.{module}")
    return METRICS


def compute_all(evidence: Evidence) -> dict[str, float | None]:
    """Every metric whose needs the evidence meets, by name."""
    found = load_metrics()
    return {
        name: entry.compute(evidence)
        for name, entry in sorted(found.items())
        if all(evidence.has(need) for need in entry.needs)
    }
