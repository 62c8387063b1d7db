"""A subject, and what it is compared with, -> everything that is said about it. Pure: files in and out are elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from collapselab.collapse.diagnosis import DRAWS, Diagnosis, diagnose
from collapselab.collapse.judge import START, Finding
from collapselab.collapse.kind import AT_THE_LOSS, KINDS
from collapselab.collapse.signatures import Signature
from collapselab.collapse.snapshot import Snapshot
from collapselab.collapse.thresholds import THRESHOLDS, Thresholds
from collapselab.diagnose.baselines import baselines
from collapselab.diagnose.compare import Comparison, compare, with_steps
from collapselab.diagnose.inputs import Subject
from collapselab.diagnose.supply import with_options

REFERENCE = "in the reference"


@dataclass(frozen=True)
class Outcome:
    """What was found.

    Attributes:
        diagnosis: its verdict holds all kinds where the subject is bare arrays.
        headline: the layer that stands for all where one must.
        shown: kind -> (layer, finding), at the layers that the verdict is read from, the worst kind first.
        undetermined: kind -> what to supply, with the option that takes it.
        warnings: those of the diagnosis, and what the reader must know about the inputs.
        baselines: layer -> what its ranks are to be read against.
        reference, comparison: what it was compared with, and how they differ.
    """

    subject: Subject
    diagnosis: Diagnosis
    headline: str
    shown: dict[str, tuple[str, Finding]]
    undetermined: dict[str, str]
    warnings: list[str]
    baselines: dict[str, dict[str, Any]]
    reference: Subject | None = None
    comparison: Comparison | None = None

    @property
    def layers(self) -> list[str]:
        return list(self.subject.snapshot.layers)

    @property
    def verdict(self) -> list[str]:
        return self.diagnosis.verdict


def examine(
    subject: Subject,
    reference: Subject | None = None,
    *,
    thresholds: Thresholds = THRESHOLDS,
    signatures: Sequence[Signature] = (),
    draws: int = DRAWS,
) -> Outcome:
    """Diagnose a subject; one without a start of its own is graded against the reference.

    Raises UserError for features that can't be measured.
    """
    warnings = list(subject.notes)
    start, where, initial = subject.start, START, True
    if start is None and reference is not None:
        # A snapshot of step 0 says that it is one; nobody knows of a bare file.
        initial = not reference.bare and (reference.start or reference.snapshot).step == 0
        where = START if initial else REFERENCE
        start, other = _aligned(subject.snapshot, reference)
        warnings += other
    found = diagnose(
        subject.snapshot,
        start,
        thresholds=thresholds,
        signatures=signatures,
        guards_off=subject.guards_off,
        where=where,
        initial=initial,
        draws=draws,
    )
    if subject.bare:
        held = {kind for kinds in found.verdicts.values() for kind in kinds}
        found = replace(found, verdict=[kind for kind in KINDS if kind in held])
    there = diagnose(reference.snapshot, reference.start, thresholds=thresholds, draws=0) if reference else None
    comparison = compare(found, there) if there else None
    if comparison and reference:
        comparison = with_steps(comparison, subject, reference, thresholds)
    return Outcome(
        subject=subject,
        diagnosis=found,
        headline=_headline(subject, found),
        shown=_shown(subject, found),
        undetermined={kind: with_options(supply) for kind, supply in found.undetermined.items()},
        warnings=warnings + found.warnings,
        baselines=_baselines(subject, there),
        reference=reference,
        comparison=comparison,
    )


def _aligned(snapshot: Snapshot, reference: Subject) -> tuple[Snapshot, list[str]]:
    """The reference as the start of the same layers, and what could not be used of it."""
    known = (reference.start or reference.snapshot).layers
    if len(known) == len(snapshot.layers) == 1:
        known = dict(zip(snapshot.layers, known.values(), strict=True))
    layers, warnings = {}, []
    for name, evidence in snapshot.layers.items():
        if name not in known:
            warnings.append(f"the reference has no layer {name}: there nothing is graded against it")
        elif known[name].sample.shape[1] != evidence.sample.shape[1]:
            warnings.append(
                f"{name} has {evidence.sample.shape[1]} dimensions, in the reference {known[name].sample.shape[1]}: "
                "another network, so nothing is graded against it"
            )
        else:
            layers[name] = known[name]
    return replace(snapshot, layers=layers), warnings


def _headline(subject: Subject, found: Diagnosis) -> str:
    """The representation of a network; of bare arrays the one where most is wrong."""
    if not subject.bare:
        return subject.snapshot.representation
    worst = {layer: max((f.severity for f in kinds.values()), default=0.0) for layer, kinds in found.kinds.items()}
    return max(worst, key=worst.__getitem__)


def _shown(subject: Subject, found: Diagnosis) -> dict[str, tuple[str, Finding]]:
    """Each judged kind where it holds worst, of the layers that the verdict is read from; elsewhere if it has no judge there."""
    chosen: dict[str, tuple[str, Finding]] = {}
    for kind in KINDS:
        layers = set(found.kinds) if subject.bare else {subject.snapshot.representation}
        if kind in AT_THE_LOSS:
            layers |= set(subject.snapshot.loss_layers)
        judged = {layer: kinds[kind] for layer, kinds in found.kinds.items() if kind in kinds}
        read = {layer: finding for layer, finding in judged.items() if layer in layers} or judged
        if read:
            layer = max(read, key=lambda name: read[name].severity)
            chosen[kind] = (layer, read[layer])
    return dict(sorted(chosen.items(), key=lambda item: -item[1][1].severity))


def _baselines(subject: Subject, there: Diagnosis | None) -> dict[str, dict[str, Any]]:
    layers = subject.snapshot.layers
    found = {}
    for name, evidence in layers.items():
        values = None
        if there is not None:
            single = len(layers) == len(there.metrics) == 1
            values = next(iter(there.metrics.values())) if single else there.metrics.get(name)
        found[name] = baselines(evidence, values)
    return found
