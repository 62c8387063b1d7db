"""What every rendering shows, as words and cells: one place, so that a terminal and a page say the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collapselab.collapse.judge import Finding
from collapselab.collapse.registry import Value
from collapselab.collapse.thresholds import VERDICT_FROM
from collapselab.diagnose.baselines import ALPHAS, RANKS
from collapselab.diagnose.examine import Outcome

HEALTHY = "healthy: none of the kinds that could be judged holds"
RANK_HEADER = ("rank", "here", "ceiling", "shuffled", *(f"i^-{alpha:g}" for alpha in ALPHAS))
# Metrics that are read beside another value; what they are beside is empty where they stand for themselves.
BESIDE = {
    "log_trace": "",
    "normalised_std": "inverse_sqrt_dim",
    "mean_share": "",
    "numerical_rank": "rank_ceiling",
    "rankme": "rank_ceiling",
    "alpha_req": "",
    "lid_mle": "",
    "uniformity": "",
    "self_cluster": "",
    "variance_ratio": "",
    "median_variance_ratio": "",
    "nc1": "",
    "mean_entropy": "log_k",
    "marginal_entropy": "log_k",
    "used_prototypes": "",
    "token_position_share": "",
    "token_within_share": "",
}


@dataclass(frozen=True)
class KindRow:
    """One kind at one layer. `interval` is empty where there is none."""

    kind: str
    layer: str
    severity: str
    interval: str
    holds: bool
    evidence: str
    cause: str
    remedy: str


def headline(outcome: Outcome) -> str:
    """ "dimensional and cluster collapse", or that nothing was found."""
    kinds = outcome.verdict
    if not kinds:
        others = [f"{kind} at {layer}" for layer, held in outcome.diagnosis.verdicts.items() for kind in held]
        if others:
            return f"healthy at {outcome.headline}; elsewhere {', '.join(others)}"
        return HEALTHY
    return f"{' and '.join((', '.join(kinds[:-1]), kinds[-1]) if len(kinds) > 1 else kinds)} collapse"


def described(outcome: Outcome) -> str:
    """What was looked at: "features.npy: 2,000 images of 128 dimensions"."""
    layers = outcome.subject.snapshot.layers
    sizes = [f"{len(e.sample):,} images of {e.sample.shape[1]:,} dimensions" for e in layers.values()]
    if len(sizes) > 1:
        sizes = [f"{name} {size}" for name, size in zip(layers, sizes, strict=True)]
    text = f"{outcome.subject.name}: {'; '.join(sizes)}"
    return f"{text}; against {outcome.reference.name}" if outcome.reference else text


def kind_rows(outcome: Outcome) -> list[KindRow]:
    """The worst first: kinds of the verdict, then those that hold at other layers, then the rest."""
    shown = [_row(kind, layer, finding) for kind, (layer, finding) in outcome.shown.items()]
    read = {(row.kind, row.layer) for row in shown}
    others = [
        _row(kind, layer, outcome.diagnosis.kinds[layer][kind])
        for layer, kinds in outcome.diagnosis.verdicts.items()
        for kind in kinds
        if (kind, layer) not in read
    ]
    return [row for row in shown if row.holds] + others + [row for row in shown if not row.holds]


def _row(kind: str, layer: str, finding: Finding) -> KindRow:
    interval = f"{finding.interval[0]:.2f} to {finding.interval[1]:.2f}" if finding.interval else ""
    holds = finding.severity >= VERDICT_FROM
    severity = f"{finding.severity:.2f}"
    return KindRow(kind, layer, severity, interval, holds, finding.evidence, finding.cause, finding.remedy)


def supplies(outcome: Outcome) -> list[tuple[str, str]]:
    """Kinds that can't be judged and what to supply, those that want the same together."""
    wanted: dict[str, list[str]] = {}
    for kind, supply in outcome.undetermined.items():
        wanted.setdefault(supply, []).append(kind)
    return [(", ".join(kinds), supply) for supply, kinds in wanted.items()]


def rank_header(outcome: Outcome) -> tuple[str, ...]:
    return (*RANK_HEADER, "reference") if outcome.reference else RANK_HEADER


def rank_rows(outcome: Outcome, layer: str) -> list[tuple[str, ...]]:
    """The three ranks of a layer beside what they are to be read against."""
    baseline, values = outcome.baselines[layer], outcome.diagnosis.metrics[layer]
    rows = []
    for name in RANKS:
        against = [baseline[key][name] for key in ("shuffled", *(f"power-law-{alpha:g}" for alpha in ALPHAS))]
        if outcome.reference:
            against.append(baseline.get("reference", {}).get(name))
        cells = (number(value) for value in (values.get(name), baseline["ceiling"], *against))
        rows.append((spoken(name), *cells))
    return rows


def metric_rows(outcome: Outcome, layer: str) -> list[tuple[str, str, str]]:
    """The key metrics of a layer that are known: name, value, and the value that it is read beside."""
    values = outcome.diagnosis.metrics[layer]
    rows = []
    for name, other in BESIDE.items():
        if name in values:
            beside = f"{number(values.get(other))} ({spoken(other)})" if other in values else ""
            rows.append((spoken(name), number(values[name]), beside))
    return rows


def all_metrics(outcome: Outcome, layer: str, specs: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Every metric of a layer: name, value, formula, what it is blind to."""
    return [
        (name, number(value), specs[name].spec.formula, specs[name].spec.blind_to)
        for name, value in outcome.diagnosis.metrics[layer].items()
    ]


def spoken(metric: str) -> str:
    return metric.replace("_", " ")


def number(value: Value) -> str:
    """Three significant digits; whole numbers up to a million in full."""
    if value is None or not math.isfinite(value):
        return "undefined"
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"
