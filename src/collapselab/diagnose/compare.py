"""A diagnosis against a reference: which kinds appeared or vanished, which metrics moved, and from which step on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from collapselab.collapse.diagnosis import Diagnosis
from collapselab.collapse.judge import judge
from collapselab.collapse.kind import KINDS
from collapselab.collapse.registry import Value, load_metrics
from collapselab.collapse.snapshot import Snapshot
from collapselab.collapse.thresholds import Thresholds
from collapselab.collapse.timing.onset import Onset, onset
from collapselab.diagnose.inputs import Subject

MOST = 8  # metrics named for a layer
LEAST = 0.05  # natural log of a ratio: less has not moved


@dataclass(frozen=True)
class Moved:
    """A metric here and in the reference, and the natural logarithm of their ratio."""

    metric: str
    value: float
    reference: float
    log_ratio: float


@dataclass(frozen=True)
class Change:
    """What changed at one layer. `unjudged`: kinds that appeared, of which the reference could not say whether it has them.

    `since`: kind that appeared or vanished -> when it set in, on the side that has it; only where both sides are runs.
    """

    appeared: list[str]
    vanished: list[str]
    unjudged: list[str]
    moved: list[Moved]
    since: dict[str, Onset] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """Changes by layer, and layers that only one side has."""

    layers: dict[str, Change]
    only_here: list[str]
    only_there: list[str]


def compare(now: Diagnosis, there: Diagnosis) -> Comparison:
    """Layer by layer; where both have a single layer the two are compared whatever they are called."""
    names = {layer: layer for layer in now.verdicts}
    if len(now.verdicts) == len(there.verdicts) == 1:
        names = {next(iter(now.verdicts)): next(iter(there.verdicts))}
    shared = {here: other for here, other in names.items() if other in there.verdicts}
    return Comparison(
        layers={here: _change(now, here, there, other) for here, other in shared.items()},
        only_here=[layer for layer in now.verdicts if layer not in shared],
        only_there=[layer for layer in there.verdicts if layer not in shared.values()],
    )


def _change(now: Diagnosis, here: str, there: Diagnosis, other: str) -> Change:
    held, held_there = now.verdicts[here], there.verdicts[other]
    appeared = [kind for kind in held if kind not in held_there]
    return Change(
        appeared=appeared,
        vanished=[kind for kind in held_there if kind not in held],
        unjudged=[kind for kind in appeared if kind not in there.kinds[other]],
        moved=moved(now.metrics[here], there.metrics[other]),
    )


def moved(now: Mapping[str, Value], there: Mapping[str, Value]) -> list[Moved]:
    """The metrics that moved most, the farthest first, of those that have a direction and a ratio."""
    found = []
    for name, metric in load_metrics().items():
        value, reference = now.get(name), there.get(name)
        # A logarithm (log tr(cov), entropies of log terms) has differences, no ratios.
        if not metric.spec.falls or name.startswith("log_") or not value or not reference:
            continue
        if value > 0 and reference > 0 and abs(math.log(value / reference)) > LEAST:
            found.append(Moved(name, value, reference, math.log(value / reference)))
    return sorted(found, key=lambda entry: (-abs(entry.log_ratio), entry.metric))[:MOST]


def with_steps(comparison: Comparison, subject: Subject, reference: Subject, thresholds: Thresholds) -> Comparison:
    """The comparison with the step from which a kind holds that the other side lacks, where both are runs."""
    if not (subject.steps and reference.steps):
        return comparison
    layers = {}
    for layer, change in comparison.layers.items():
        kinds = {kind: subject for kind in change.appeared} | {kind: reference for kind in change.vanished}
        since: dict[str, Onset] = {}
        for side in (subject, reference):
            wanted = [kind for kind, holder in kinds.items() if holder is side]
            since |= set_in(side, layer, wanted, thresholds) if wanted else {}
        layers[layer] = Change(change.appeared, change.vanished, change.unjudged, change.moved, since)
    return Comparison(layers, comparison.only_here, comparison.only_there)


def set_in(run: Subject, layer: str, kinds: Sequence[str], thresholds: Thresholds) -> dict[str, Onset]:
    """When each of the kinds set in at a layer of a run; one that does not hold to the end is left out."""
    first = run.read(run.steps[0])
    steps, severities = [], []
    for path in run.steps:
        snapshot = run.read(path)
        judged = _severities(snapshot, first, layer, thresholds)
        steps.append(snapshot.step)
        severities.append([judged.get(kind, math.nan) for kind in kinds])
    found = {kind: onset(steps, [row[place] for row in severities]) for place, kind in enumerate(kinds)}
    return {kind: when for kind, when in found.items() if when is not None}


def _severities(snapshot: Snapshot, first: Snapshot, layer: str, thresholds: Thresholds) -> dict[str, float]:
    if layer not in snapshot.layers:
        return {}
    found = judge(snapshot.layers[layer], first.layers.get(layer), thresholds)
    return {kind: finding.severity for kind, finding in found.findings.items()}


def sentences(comparison: Comparison) -> list[str]:
    """The comparison in words, one sentence a change, for any rendering."""
    said = []
    order = {kind: place for place, kind in enumerate(KINDS)}
    for layer, change in comparison.layers.items():
        at = f"at {layer}, " if len(comparison.layers) > 1 else ""
        for kind in sorted(change.appeared + change.vanished, key=order.__getitem__):
            known = "which can't be judged in the reference" if kind in change.unjudged else "not in the reference"
            text = f"{kind} here, {known}" if kind in change.appeared else f"{kind} in the reference, not here"
            said.append(f"{at}{text}{_when(change.since.get(kind))}")
        if not change.appeared and not change.vanished:
            said.append(f"{at}the same kinds as in the reference")
    for layers, where in ((comparison.only_here, "here"), (comparison.only_there, "in the reference")):
        if layers:
            said.append(f"only {where}: {', '.join(layers)}")
    return said


def _when(found: Onset | None) -> str:
    return f", from step {found.step} on" if found else ""
