"""A kind of collapse: its page, the metrics that it reads, and how badly it holds. kinds/ has one file for each."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from collapselab.collapse.thresholds import Threshold

# In the order of verdicts.
KINDS = (
    "complete",
    "norm",
    "dimensional",
    "cluster",
    "one-hot",
    "uniform",
    "prototype",
    "token-position",
    "token-smooth",
    "local",
    "nuisance",
)
# Kinds that make the headline when they hold where the loss acts, rather than at the representation.
AT_THE_LOSS = ("complete", "one-hot", "uniform", "prototype")


def read_at(kind: str, representation: str, loss_layers: Sequence[str]) -> set[str]:
    """The layers at which a kind makes the headline."""
    return {representation, *(loss_layers if kind in AT_THE_LOSS else ())}


@dataclass(frozen=True)
class Graded:
    """How badly a kind holds, 0 to 1, and the evidence in words; `open` says what would decide a part that stays open."""

    severity: float
    evidence: str
    open: str = ""


@dataclass(frozen=True)
class Missing:
    """The kind can't be judged; what to supply."""

    supply: str


class Values(Mapping[str, float]):
    """Metrics by name; those that are undefined are left out."""

    def __init__(self, values: Mapping[str, float | None]) -> None:
        self._values = {name: value for name, value in values.items() if value is not None}

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def has(self, *names: str) -> bool:
        return all(name in self._values for name in names)


@dataclass(frozen=True)
class Case:
    """What a kind is judged by.

    Attributes:
        now: a layer's metrics; start: those of its random initialisation, or of another reference, empty if unknown.
        where: what the start is, in words.
        initial: whether the start is known to be a random initialisation. What was so there is no collapse; another run or
            checkpoint that has a kind as well acquits nobody.
    """

    now: Values
    start: Values
    thresholds: Mapping[str, Threshold]
    where: str = "at initialisation"
    initial: bool = True

    def severity(self, threshold: str, value: float) -> float:
        return self.thresholds[threshold].severity(value)

    def to_start(self, metric: str) -> float | None:
        """The metric now over the metric at initialisation; None where either is undefined or the latter is 0."""
        if not (self.now.has(metric) and self.start.has(metric)) or self.start[metric] == 0:
            return None
        return self.now[metric] / self.start[metric]

    def at_start(self, metric: str) -> str:
        """ " (0.3 at initialisation)", or nothing."""
        return f" ({self.start[metric]:.2g} {self.where})" if self.start.has(metric) else ""


Grade = Callable[[Case], Graded | Missing]


@dataclass(frozen=True)
class Kind:
    """A kind's page and its grading.

    Attributes:
        what: one sentence; measured: how; looks_like: in curves and plots.
        causes, remedies: the likeliest first; sources: papers and places.
        reads: the metrics that `grade` looks at; against: those of the start that it compares with.
    """

    name: str
    what: str
    measured: str
    looks_like: str
    causes: tuple[str, ...]
    remedies: tuple[str, ...]
    sources: tuple[str, ...]
    reads: tuple[str, ...]
    against: tuple[str, ...]
    grade: Grade = field(repr=False)


_REGISTERED: dict[str, Kind] = {}


def kind(
    *,
    what: str,
    measured: str,
    looks_like: str,
    causes: tuple[str, ...],
    remedies: tuple[str, ...],
    sources: tuple[str, ...],
    reads: tuple[str, ...],
    against: tuple[str, ...] = (),
) -> Callable[[Grade], Grade]:
    """Register a grading under its function's name, underscores as hyphens."""

    def register(grade: Grade) -> Grade:
        name = grade.__name__.replace("_", "-")
        _REGISTERED[name] = Kind(name, what, measured, looks_like, causes, remedies, sources, reads, against, grade)
        return grade

    return register


@cache
def load_kinds() -> dict[str, Kind]:
    """All kinds, in the order of KINDS."""
    from collapselab.collapse import kinds

    for module in sorted(info.name for info in pkgutil.iter_modules(kinds.__path__)):
        importlib.import_module(f"{kinds.__name__}.{module}")
    return {name: _REGISTERED[name] for name in KINDS}
