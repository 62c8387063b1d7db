"""The page of a kind, of a metric, or the table of thresholds, offline."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from collapselab.collapse.kind import Kind, load_kinds
from collapselab.collapse.registry import Metric, load_metrics
from collapselab.collapse.thresholds import THRESHOLDS, VERDICT_FROM, Threshold
from collapselab.errors import UserError

TABLE = "thresholds"
NEEDS = {
    "sample": "features, one vector an image",
    "rows": "features, at most 2,000 of them",
    "views": "augmented views of the images",
    "labels": "labels",
    "probabilities": "softmax probabilities",
    "entropies": "softmax probabilities",
    "tokens": "token outputs",
    "position_probabilities": "softmax probabilities at each token position",
    "teacher": "the teacher's probabilities for the same images",
    "prototypes": "the prototypes' weights",
    "start": "the same images at random initialisation",
    "base": "the same images' representation",
    "gradient_norms": "a snapshot of training, which holds its gradients",
    "gradient_snrs": "a snapshot of training, which holds its gradients",
}


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it: lines that are wrapped each by itself."""

    heading: str
    lines: Sequence[str]


def explain(name: str = "") -> list[Section]:
    """The page of `name`; a list of all names where it is empty. Underscores, hyphens and blanks are the same.

    Raises UserError with the nearest name where there is no such page.
    """
    kinds, metrics = load_kinds(), load_metrics()
    if not name:
        return _contents(kinds, metrics)
    for known in (
        name,
        name.lower().replace("_", "-").replace(" ", "-"),
        name.lower().replace("-", "_").replace(" ", "_"),
    ):
        if known == TABLE:
            return _thresholds()
        if known in kinds:
            return _kind(kinds[known])
        if known in metrics:
            return _metric(metrics[known], kinds)
    names = [*kinds, *metrics, TABLE]
    close = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    hint = f"did you mean `{close[0]}`? " if close else ""
    raise UserError(f"no kind or measure is called {name!r}: {hint}`collapselab explain` lists all")


def show(sections: Sequence[Section], console: Console | None = None) -> None:
    """Print a page, wrapped to the terminal or to 80 columns."""
    console = console or Console(highlight=False)
    for place, section in enumerate(sections):
        if place:
            console.print()
        console.print(Text(section.heading, style="bold"))
        for line in section.lines:
            console.print(Padding(Text(line), (0, 0, 0, 2)))


def _contents(kinds: dict[str, Kind], metrics: dict[str, Metric]) -> list[Section]:
    return [
        Section("Kinds of collapse", [f"{kind.name}: {kind.what}" for kind in kinds.values()]),
        Section("Measures", [f"{name}: {metrics[name].spec.formula}" for name in sorted(metrics)]),
        Section("Thresholds", [f"{TABLE}: where each kind's severity starts, where it is full, and why there"]),
        Section("One page", ["collapselab explain NAME"]),
    ]


def _kind(kind: Kind) -> list[Section]:
    thresholds = {name: entry for name, entry in THRESHOLDS.items() if name.partition("/")[0] == kind.name}
    return [
        Section(f"{kind.name} collapse", [kind.what]),
        Section("How it is measured", [kind.measured]),
        Section("What it looks like", [kind.looks_like]),
        Section("What usually causes it", _bullets(kind.causes)),
        Section("What to try", _bullets(kind.remedies)),
        Section(
            f"Thresholds (severity 0 to 1 between two values; a verdict from {VERDICT_FROM:g})",
            [_threshold(name, entry) for name, entry in thresholds.items()],
        ),
        Section("Measures that it reads", [", ".join(kind.reads)]),
        Section("Sources", _bullets(kind.sources)),
    ]


def _metric(metric: Metric, kinds: dict[str, Kind]) -> list[Section]:
    spec = metric.spec
    readers = [kind.name for kind in kinds.values() if metric.name in kind.reads]
    facts = {
        "source": spec.source,
        "centring": spec.centring,
        "normalisation": spec.normalisation,
        "epsilon": f"{spec.epsilon:g}" if spec.epsilon else "none",
        "range": spec.range,
        "sees": spec.sees or "nothing by itself: it explains other measures",
        "blind to": spec.blind_to or "nothing that is known",
        "a collapse moves it": spec.falls or "either way, or not at all",
        "needs": " and ".join(dict.fromkeys(NEEDS.get(need, need) for need in metric.needs)),
        "read by": ", ".join(readers) or "no kind: it stands beside them",
        "version": str(spec.version),
    }
    return [
        Section(metric.name, [spec.formula]),
        Section("Definition", [f"{name}: {value}" for name, value in facts.items()]),
    ]


def _thresholds() -> list[Section]:
    kinds: dict[str, list[str]] = {}
    for name, entry in THRESHOLDS.items():
        kinds.setdefault(name.partition("/")[0], []).append(_threshold(name, entry))
    override = (
        "--thresholds FILE takes a YAML or JSON file with entries in place of these, for example "
        '{"cluster/within": {"none": 0.2, "full": 0.02}}'
    )
    head = Section(
        "Thresholds",
        [f"Severity is 0 at the first value, 1 at the second; a verdict is given from {VERDICT_FROM:g}.", override],
    )
    return [head, *(Section(kind, lines) for kind, lines in kinds.items())]


def _threshold(name: str, entry: Threshold) -> str:
    scale = ", on a logarithmic scale" if entry.log else ""
    return f"{name}: {entry.none:g} to {entry.full:g}{scale}. {entry.reason[:1].upper()}{entry.reason[1:]}"


def _bullets(lines: Sequence[str]) -> list[str]:
    return [f"- {line}" for line in lines]
