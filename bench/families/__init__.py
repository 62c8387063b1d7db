"""Named generators of features whose collapse, or health, is known by construction: what the thresholds are tried on.

A family draws its own parameters (how many clusters, how heavy a tail) from the generator, so that seeds differ by more than noise.
It says which kinds hold, which stay open and why; every other kind must not be named. Nothing here knows a threshold.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapselab.collapse.evidence import Evidence

Array = NDArray[Any]
Size = tuple[int, int]  # N, d

SMALL: tuple[Size, ...] = ((256, 16), (256, 64), (256, 256), (300, 256), (512, 128), (1000, 64))
MEDIUM: tuple[Size, ...] = ((256, 1024), (1000, 512), (2000, 256))
LARGE: tuple[Size, ...] = ((5000, 768), (20000, 64))
HUGE: tuple[Size, ...] = ((256, 2048), (20000, 2048))


@dataclass(frozen=True)
class Drawn:
    """One draw of a family.

    Attributes:
        evidence, start: the layer now and at its random initialisation (None: no reference is given).
        about: the parameters that were drawn.
        open: kinds that this draw's parameters leave open, beyond the family's own.
    """

    evidence: Evidence
    start: Evidence | None = None
    about: Mapping[str, float | str] = field(default_factory=dict)
    open: Mapping[str, str] = field(default_factory=dict)


Make = Callable[[np.random.Generator, int, int], "Drawn | Array"]


@dataclass(frozen=True)
class Family:
    """A generator and what holds of it.

    Attributes:
        group: the file that it stands in; holds: kinds; open: kind -> why it could be said either way.
        healthy: whether no kind holds, so that any that is named and not open is a false alarm.
        fits: whether it can be made at N, d; sizes: its own, where it does not take the common ones.
        huge: whether it is worth the largest sizes.
    """

    name: str
    group: str
    what: str
    make: Make
    holds: tuple[str, ...] = ()
    open: Mapping[str, str] = field(default_factory=dict)
    fits: Callable[[int, int], bool] = lambda n, d: True
    sizes: tuple[Size, ...] | None = None
    huge: bool = False

    @property
    def healthy(self) -> bool:
        return not self.holds

    def draw(self, seed: int, n: int, d: int) -> Drawn:
        """Deterministic in name, seed and size."""
        made = self.make(np.random.default_rng([seed, n, d, *self.name.encode()]), n, d)
        return made if isinstance(made, Drawn) else Drawn(Evidence(made))


FAMILIES: dict[str, Family] = {}


def family(
    what: str,
    *,
    name: str = "",
    holds: Sequence[str] = (),
    open: Mapping[str, str] | None = None,
    fits: Callable[[int, int], bool] = lambda n, d: True,
    sizes: tuple[Size, ...] | None = None,
    huge: bool = False,
) -> Callable[[Make], Make]:
    """Register a generator (of features [N, d], or of a Drawn) under its own name, underscores as hyphens."""

    def register(make: Make) -> Make:
        called = name or make.__name__.strip("_").replace("_", "-")
        group = make.__module__.rpartition(".")[2]
        if called in FAMILIES:
            raise ValueError(f"two families are called {called}")
        FAMILIES[called] = Family(called, group, what, make, tuple(holds), dict(open or {}), fits, sizes, huge)
        return make

    return register


def load_families() -> dict[str, Family]:
    """All families: each file of this folder registers its own when it is imported."""
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
        importlib.import_module(f"{__name__}.{module}")
    return FAMILIES
