"""Which kinds of collapse hold, per layer, how badly, and by what evidence.

At present three kinds are known: complete, one-hot and uniform. The others are listed as undetermined.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from collapselab.collapse.registry import Evidence, compute_all
from collapselab.collapse.snapshot import Snapshot

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
KNOWN = ("complete", "one-hot", "uniform")
# Kinds that make the headline when they hold where the loss acts, rather than at the representation.
AT_THE_LOSS = ("complete", "one-hot", "uniform", "prototype")
VERDICT_FROM = 0.5
FLOAT32 = 1.1920929e-07  # its epsilon
TINY = 1e-30  # stands for 0 inside a logarithm


@dataclass(frozen=True)
class Threshold:
    """Severity is 0 at `none`, 1 at `full`, linear between; a verdict from .5 on."""

    none: float
    full: float
    reason: str

    def severity(self, value: float) -> float:
        return min(1.0, max(0.0, (value - self.none) / (self.full - self.none)))


THRESHOLDS = {
    "complete/view-ratio-to-start": Threshold(
        2.0,
        1.0,
        "median between-image over within-view variance against initialisation: training set images no further apart",
    ),
    "complete/log-distance-to-start": Threshold(
        math.log(0.2),
        math.log(0.02),
        "a typical image's distance from the middle: networks that merely learn nothing keep .15 and more",
    ),
    "complete/log-direction-to-start": Threshold(
        math.log(0.3),
        math.log(0.03),
        "spread of directions: kept where outputs have only become smaller, which is no complete collapse",
    ),
    "one-hot/mean-entropy": Threshold(0.2, 0.0, "E h(p) / ln K: each image is decided"),
    "one-hot/marginal-entropy": Threshold(0.4, 0.0, "h(mean p) / ln K: all images decide for the same few prototypes"),
    "uniform/gap": Threshold(0.02, 0.0, "(ln K - E h(p)) / ln K: nothing is said about any image"),
    "uniform/gap-to-start": Threshold(
        0.5,
        0.05,
        "the same gap against initialisation, where small logits look uniform too: training must have closed it",
    ),
}


@dataclass(frozen=True)
class Finding:
    """How badly a kind holds at a layer, 0 to 1, and the evidence in words."""

    severity: float
    evidence: str


@dataclass(frozen=True)
class Diagnosis:
    """`verdict`: kinds at the representation, and those of the loss at its layers; empty means healthy.

    `verdicts` and `kinds` hold them per layer; `undetermined` says, kind by kind, what is missing.
    """

    verdict: list[str]
    verdicts: dict[str, list[str]]
    kinds: dict[str, dict[str, Finding]]
    undetermined: dict[str, str] = field(default_factory=dict)
    sentence: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def diagnose(snapshot: Snapshot, reference: Snapshot | None = None) -> Diagnosis:
    """Diagnose one snapshot; `reference` is the same network's random initialisation, against which kinds are graded."""
    kinds: dict[str, dict[str, Finding]] = {}
    for layer, evidence in snapshot.layers.items():
        start = reference.layers.get(layer) if reference else None
        kinds[layer] = _findings(evidence, start)
    verdicts = {
        layer: [kind for kind in KINDS if kind in found and found[kind].severity >= VERDICT_FROM]
        for layer, found in kinds.items()
    }
    at_loss = {kind for layer in snapshot.loss_layers for kind in verdicts.get(layer, []) if kind in AT_THE_LOSS}
    held = at_loss | set(verdicts.get(snapshot.representation, []))
    verdict = [kind for kind in KINDS if kind in held]
    undetermined = {kind: "not diagnosed by this version" for kind in KINDS if kind not in KNOWN}
    if not all("complete" in found for found in kinds.values()):
        undetermined["complete"] = "supply augmented views of the images, and the same network at initialisation"
    return Diagnosis(verdict, verdicts, kinds, undetermined, _sentence(snapshot, verdict, verdicts, kinds))


def _findings(evidence: Evidence, start: Evidence | None) -> dict[str, Finding]:
    now = compute_all(evidence)
    before = compute_all(start) if start else {}
    candidates = {
        "complete": _complete(evidence, now, before),
        "one-hot": _one_hot(now),
        "uniform": _uniform(now, before),
    }
    return {kind: finding for kind, finding in candidates.items() if finding is not None}


Values = Mapping[str, float | None]


def _graded(name: str, value: float) -> float:
    return THRESHOLDS[name].severity(value)


def _complete(evidence: Evidence, now: Values, before: Values) -> Finding | None:
    """All inputs map to one vector: the spread is rounding, or has fallen to view noise since initialisation."""
    typical = now["median_distance"]
    rounding = 4 * FLOAT32 * evidence.moments.absolute * evidence.sample.shape[1] ** 0.5
    if not evidence.moments.resolved() or (typical is not None and typical <= rounding):
        return Finding(1.0, "most images give the same vector, up to rounding")
    names = ("median_variance_ratio", "median_distance", "direction_spread")
    pairs = [(now.get(name), before.get(name)) for name in names]
    if any(value is None or not start for value, start in pairs):
        return None
    (ratio, ratio_before), (distance, distance_before), (spread, spread_before) = (
        (max(value or 0.0, TINY), start or TINY) for value, start in pairs
    )
    severity = min(
        _graded("complete/view-ratio-to-start", ratio / ratio_before),
        _graded("complete/log-distance-to-start", math.log(distance / distance_before)),
        _graded("complete/log-direction-to-start", math.log(spread / spread_before)),
    )
    return Finding(
        severity,
        f"median distance from the middle of all images {distance:.2g} ({distance_before:.2g} at initialisation), "
        f"median 1 - cosine to the common direction {spread:.2g} ({spread_before:.2g}), "
        f"median between-image over within-view variance {ratio:.2g} ({ratio_before:.2g})",
    )


def _one_hot(now: Values) -> Finding | None:
    """The softmax says the same class for everything."""
    mean, marginal, ceiling = now.get("mean_entropy"), now.get("marginal_entropy"), now.get("log_k")
    if mean is None or marginal is None or not ceiling:
        return None
    severity = min(
        _graded("one-hot/mean-entropy", mean / ceiling), _graded("one-hot/marginal-entropy", marginal / ceiling)
    )
    return Finding(
        severity, f"softmax entropy {mean:.2g} an image and {marginal:.2g} over all images, of at most {ceiling:.3g}"
    )


def _uniform(now: Values, before: Values) -> Finding | None:
    """The softmax says nothing, where training had time to change that."""
    mean, ceiling, mean_before = now.get("mean_entropy"), now.get("log_k"), before.get("mean_entropy")
    if mean is None or not ceiling or mean_before is None:
        return None
    gap, gap_before = (ceiling - mean) / ceiling, (ceiling - mean_before) / ceiling
    # Where the head starts uniform there is no gap to close: then staying so is the evidence.
    closed = gap / gap_before if gap_before > 1e-6 else 0.0
    severity = min(_graded("uniform/gap", gap), _graded("uniform/gap-to-start", closed))
    return Finding(
        severity, f"softmax entropy {mean:.4g} an image, of at most {ceiling:.4g} ({mean_before:.4g} at initialisation)"
    )


def _sentence(
    snapshot: Snapshot,
    verdict: list[str],
    verdicts: Mapping[str, list[str]],
    kinds: Mapping[str, Mapping[str, Finding]],
) -> str:
    """The verdict in words, with the evidence of the worst layer of each kind."""
    if not verdict:
        layer = snapshot.loss_layers[0]
        if not kinds.get(layer):
            return f"Undetermined at {layer}: augmented views and the same network at initialisation are missing."
        evidence = next(iter(kinds[layer].values())).evidence
        return f"No {_either(KNOWN)} collapse: at {layer}, {evidence}."
    parts = []
    for kind in verdict:
        layer = max((name for name in verdicts if kind in verdicts[name]), key=lambda name: kinds[name][kind].severity)
        parts.append(
            f"{kind} collapse at {layer} (severity {kinds[layer][kind].severity:.2f}): {kinds[layer][kind].evidence}"
        )
    return "; ".join(parts)[:1].upper() + "; ".join(parts)[1:] + "."


def _either(names: tuple[str, ...]) -> str:
    return ", ".join(names[:-1]) + " or " + names[-1]
