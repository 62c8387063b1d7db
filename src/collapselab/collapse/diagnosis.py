"""Which kinds of collapse hold, per layer, how badly, by what evidence; and what that says about the cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.judge import START, Finding, holding, judge
from collapselab.collapse.kind import KINDS, read_at
from collapselab.collapse.registry import Value
from collapselab.collapse.signatures import Signature
from collapselab.collapse.snapshot import Snapshot
from collapselab.collapse.thresholds import THRESHOLDS, VERDICT_FROM, Thresholds

DRAWS = 100  # bootstrap samples behind an interval


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` found.

    Attributes:
        verdict: kinds at the representation, and those of the loss at its layers; empty means healthy.
        verdicts: kinds by layer, empty where none holds.
        kinds: layer -> kind -> finding, for every kind that could be judged.
        undetermined: kind -> what to supply, for kinds that no layer could be judged by.
        warnings: what makes measures mislead, in sentences.
        metrics: layer -> metric -> value, None where it is undefined.
        sentence: the verdict in words, with its evidence.
    """

    verdict: list[str]
    verdicts: dict[str, list[str]]
    kinds: dict[str, dict[str, Finding]]
    undetermined: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    metrics: dict[str, dict[str, Value]] = field(default_factory=dict)
    sentence: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Without the metrics, which are stored beside their specs elsewhere."""
        values = asdict(self)
        del values["metrics"]
        return values

    def worst(self, kind: str) -> tuple[str, Finding] | None:
        """The layer where `kind` holds worst, of those where it could be judged."""
        found = [(layer, kinds[kind]) for layer, kinds in self.kinds.items() if kind in kinds]
        return max(found, key=lambda pair: pair[1].severity, default=None)


def diagnose(
    subject: Snapshot | Evidence | NDArray[Any],
    reference: Snapshot | Evidence | NDArray[Any] | None = None,
    *,
    thresholds: Thresholds = THRESHOLDS,
    signatures: Sequence[Signature] = (),
    guards_off: Sequence[str] = (),
    where: str = START,
    initial: bool = True,
    draws: int = DRAWS,
) -> Diagnosis:
    """Diagnose a snapshot, the evidence about one layer, or plain features [N, d].

    Args:
        reference: the same network's random initialisation, against which kinds are graded.
        thresholds: the table of severities, `THRESHOLDS` with or without overrides.
        signatures: what the loss's curve says, from `signatures.read`: warnings, and likely causes.
        guards_off: guards against collapse that the run does without: the likeliest cause.
        where: what the reference is, in words; initial: whether it is a random initialisation. What was so there is no
            collapse; another run acquits nobody.
        draws: bootstrap samples behind each interval; 0 for none.

    Raises UserError for features that can't be measured: one vector, NaN or infinity, shapes that don't fit.
    """
    snapshot, start = as_snapshot(subject), None if reference is None else as_snapshot(reference)
    kinds: dict[str, dict[str, Finding]] = {}
    missing: dict[str, list[str]] = {}
    open_parts: dict[str, str] = {}
    warnings: list[str] = [signature.sentence for signature in signatures]
    metrics: dict[str, dict[str, Value]] = {}
    for layer, evidence in snapshot.layers.items():
        before = start.layers.get(layer) if start else None
        judged = judge(evidence, before, thresholds, draws, where=where, initial=initial)
        kinds[layer] = {kind: _caused(kind, found, signatures, guards_off) for kind, found in judged.findings.items()}
        metrics[layer] = judged.values
        warnings += [f"{layer}: {text}" if len(snapshot.layers) > 1 else text for text in judged.warnings]
        for kind, supply in judged.missing.items():
            missing.setdefault(kind, []).append(supply)
        open_parts |= judged.open
    verdicts = {layer: holding(found) for layer, found in kinds.items()}
    verdict = headline(snapshot, verdicts)
    nowhere = {kind: supply[0] for kind, supply in missing.items() if len(supply) == len(kinds)}
    undecided = {
        kind: supply for kind, supply in open_parts.items() if all(kind not in held for held in verdicts.values())
    }
    undetermined = {kind: (nowhere | undecided)[kind] for kind in KINDS if kind in nowhere or kind in undecided}
    found = Diagnosis(verdict, verdicts, kinds, undetermined, warnings, metrics)
    return replace(found, sentence=_sentence(snapshot, found))


def as_snapshot(subject: Snapshot | Evidence | NDArray[Any]) -> Snapshot:
    """Features or evidence as a snapshot of one layer, `features`, that is the representation and the loss's layer at once."""
    if isinstance(subject, Snapshot):
        return subject
    evidence = subject if isinstance(subject, Evidence) else Evidence(subject)
    return Snapshot(0, "features", ("features",), {"features": evidence})


def headline(snapshot: Snapshot, verdicts: Mapping[str, Sequence[str]]) -> list[str]:
    """All kinds at the representation, and those that the loss brings at the layers that it acts on."""
    return [
        kind
        for kind in KINDS
        if any(kind in verdicts.get(at, ()) for at in read_at(kind, snapshot.representation, snapshot.loss_layers))
    ]


def _caused(kind: str, found: Finding, signatures: Sequence[Signature], guards_off: Sequence[str]) -> Finding:
    """The finding with its likely cause, where one is known: guards that are off, what the loss's curve says of the same kind."""
    if found.severity < VERDICT_FROM:
        return found
    told = [signature.sentence for signature in signatures if signature.kind == kind]
    if not guards_off:
        return replace(found, cause="; ".join(told))
    off = ", ".join(guards_off)
    return replace(
        found, cause="; ".join([f"switched off: {off}", *told]), remedy=f"switch on again, one at a time: {off}"
    )


def _sentence(snapshot: Snapshot, found: Diagnosis) -> str:
    """The verdict in words, with the evidence of the worst layer of each kind."""
    if not found.verdict:
        layer = snapshot.loss_layers[0]
        judged = found.kinds.get(layer) or {}
        if not judged:
            return f"Undetermined at {layer}: supply {next(iter(found.undetermined.values()), 'more evidence')}."
        worst = max(judged.values(), key=lambda finding: finding.severity)
        unknown = (
            f"; whether it collapsed completely needs {supply}"
            if (supply := found.undetermined.get("complete"))
            else ""
        )
        return f"No collapse found: at {layer}, {judged.get('complete', worst).evidence}{unknown}."
    parts = []
    for kind in found.verdict:
        read = read_at(kind, snapshot.representation, snapshot.loss_layers)
        layers = [layer for layer, kinds in found.verdicts.items() if kind in kinds and layer in read]
        layer = max(layers, key=lambda name: found.kinds[name][kind].severity)
        finding = found.kinds[layer][kind]
        parts.append(f"{kind} collapse at {layer} (severity {finding.severity:.2f}): {finding.evidence}")
    text = "; ".join(parts)
    return text[:1].upper() + text[1:] + "."
