"""One layer: every kind's severity, the interval around it, the evidence in words and what to try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.kind import KINDS, Case, Graded, Missing, Values, load_kinds
from collapselab.collapse.registry import Value, compute_all
from collapselab.collapse.thresholds import THRESHOLDS, VERDICT_FROM, Thresholds
from collapselab.randomness import generator

LEVEL = 0.9
START = "at initialisation"
LARGE_MEAN = 0.9  # share of the second moment
FAR = 30.0  # times the median distance


@dataclass(frozen=True)
class Finding:
    """How badly a kind holds at a layer, 0 to 1, with its 90 % bootstrap interval over images, and the evidence in words.

    `interval` is None where images can't be drawn again (token sums) or none was asked for. `cause` is the likely one where
    guards or the loss's curve are known; `remedy` what to try next. Both are empty where the kind does not hold.
    """

    severity: float
    evidence: str
    interval: tuple[float, float] | None = None
    remedy: str = ""
    cause: str = ""


@dataclass(frozen=True)
class Judged:
    """One layer: findings by kind, what the others need, what would decide parts that stay open, warnings, the metrics."""

    findings: dict[str, Finding]
    missing: dict[str, str]
    open: dict[str, str]
    warnings: list[str]
    values: dict[str, Value]


def judge(
    evidence: Evidence,
    start: Evidence | None = None,
    thresholds: Thresholds = THRESHOLDS,
    draws: int = 0,
    values: Mapping[str, Value] | None = None,
    start_values: Mapping[str, Value] | None = None,
    where: str = START,
    initial: bool = True,
) -> Judged:
    """Every kind at one layer; `values` and `start_values` are the metrics, where they are known already."""
    now = dict(values) if values is not None else compute_all(evidence)
    before = start_values if start_values is not None else compute_all(start, _against()) if start else {}
    graded = grade(Values(now), Values(before), thresholds, where, initial)
    drawn = _drawn(evidence, start, thresholds, draws, initial)
    findings = {
        name: Finding(result.severity, result.evidence, _interval(result, drawn.get(name)), _remedy(name, result))
        for name, result in graded.items()
        if isinstance(result, Graded)
    }
    missing = {name: result.supply for name, result in graded.items() if isinstance(result, Missing)}
    open_parts = {name: result.open for name, result in graded.items() if isinstance(result, Graded) and result.open}
    return Judged(findings, missing, open_parts, _warnings(now), now)


def holding(found: Mapping[str, Finding]) -> list[str]:
    """The kinds that hold, in the order of KINDS."""
    return [kind for kind in KINDS if kind in found and found[kind].severity >= VERDICT_FROM]


def _remedy(name: str, result: Graded) -> str:
    return load_kinds()[name].remedies[0] if result.severity >= VERDICT_FROM else ""


def grade(
    now: Values,
    start: Values,
    thresholds: Thresholds = THRESHOLDS,
    where: str = START,
    initial: bool = True,
) -> dict[str, Graded | Missing]:
    """Every kind from metrics alone.

    What collapsed completely is not spread, so no nuisance either; neighbourhoods of tight clusters end at the clusters, so
    nothing local can be read from them.
    """
    case = Case(now, start, thresholds, where, initial)
    found = {name: kind.grade(case) for name, kind in load_kinds().items()}
    complete, nuisance = found["complete"], found["nuisance"]
    if isinstance(complete, Graded) and isinstance(nuisance, Graded) and complete.severity >= VERDICT_FROM:
        found["nuisance"] = Graded(0.0, "the features are not spread: " + complete.evidence)
    cluster, local = found["cluster"], found["local"]
    if isinstance(cluster, Graded) and isinstance(local, Graded) and cluster.severity >= VERDICT_FROM:
        found["local"] = Graded(0.0, "neighbourhoods end at the clusters: " + local.evidence)
    return found


def _reads() -> list[str]:
    return sorted({metric for kind in load_kinds().values() for metric in kind.reads})


def _against() -> list[str]:
    """What the kinds compare with at initialisation: metrics that are cheaper to draw again than all that they read."""
    return sorted({metric for kind in load_kinds().values() for metric in kind.against})


def _drawn(
    evidence: Evidence, start: Evidence | None, thresholds: Thresholds, draws: int, initial: bool
) -> dict[str, list[float]]:
    """Severities of bootstrap samples over images, by kind. Reference and subject are drawn alike."""
    severities: dict[str, list[float]] = {}
    for draw in range(draws):
        # Many small products, in which threads would only wait for each other.
        with threadpool_limits(1):
            now = compute_all(evidence.drawn(generator(0, "bootstrap", draw)), _reads())
            before = compute_all(start.drawn(generator(0, "bootstrap", draw)), _against()) if start else {}
        for name, result in grade(Values(now), Values(before), thresholds, initial=initial).items():
            if isinstance(result, Graded):
                severities.setdefault(name, []).append(result.severity)
    if evidence.tokens is not None and evidence.tokens.raw is None:
        return {name: values for name, values in severities.items() if not name.startswith("token-")}
    return severities


def _interval(result: Graded, drawn: Sequence[float] | None) -> tuple[float, float] | None:
    """The central LEVEL of the drawn severities, moved so that their median falls on the estimate.

    A bootstrap sample holds each image once, twice or not at all: ranks and local dimensions of such samples are lower
    throughout, which is no uncertainty about the images at hand.
    """
    if not drawn:
        return None
    low, middle, high = np.quantile(drawn, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2])
    moved = [float(min(1.0, max(0.0, edge + result.severity - middle))) for edge in (low, high)]
    return moved[0], moved[1]


def _warnings(values: Mapping[str, Value]) -> list[str]:
    found = []
    share, resolution = values.get("mean_share"), values.get("resolution")
    if share is not None and share > LARGE_MEAN:
        found.append(
            f"a common offset makes up {share:.3g} of the second moment: harmless to a probe, it ruins cosines and every "
            "uncentred measure (RankMe, stable rank, normalised std); whether images still differ only views can tell"
        )
    told, most = values.get("mutual_information"), values.get("log_k")
    mean, top = values.get("mean_entropy"), values.get("top_prototype_share")
    if told is not None and most and mean is not None and top is not None:
        middling = mean < 0.98 * most and top < 0.95
        if told < 0.005 * most and middling:
            found.append("the softmax says the same for every image, though it is neither one-hot nor uniform")
    farthest = values.get("farthest_to_median")
    if farthest is not None and farthest > FAR:
        found.append(
            f"the farthest image lies {farthest:.2g} times as far out as a typical one: look for damaged rows, which means and "
            "ranks follow"
        )
    if resolution is not None and 4 <= resolution < 32:
        found.append(
            f"the spread is only {resolution:.2g} units in the last place: subtract the mean before saving, or save float64"
        )
    return found
