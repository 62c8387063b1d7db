"""An outcome as one JSON object; `schema` counts its versions."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from collapselab.collapse.judge import Finding
from collapselab.collapse.registry import Value, load_metrics
from collapselab.diagnose.compare import Comparison
from collapselab.diagnose.examine import Outcome

SCHEMA = 1


def encode(outcome: Outcome) -> dict[str, Any]:
    """Kinds as they are shown, metrics of the headline layer; `layers` where there are several, `comparison` where asked for."""
    found = outcome.diagnosis
    value: dict[str, Any] = {
        "schema": SCHEMA,
        "verdict": found.verdict,
        "verdicts": found.verdicts,
        "kinds": {kind: _kind(finding) | {"layer": layer} for kind, (layer, finding) in outcome.shown.items()},
        "undetermined": outcome.undetermined,
        "warnings": outcome.warnings,
        **_layer(outcome, outcome.headline),
    }
    if len(outcome.layers) > 1:
        value["layers"] = {
            layer: {"kinds": {kind: _kind(finding) for kind, finding in found.kinds[layer].items()}}
            | _layer(outcome, layer)
            for layer in outcome.layers
        }
    if outcome.comparison:
        value["comparison"] = _comparison(outcome.comparison)
    return value


def _kind(finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.severity,
        "interval": list(finding.interval) if finding.interval else None,
        "evidence": finding.evidence,
        "cause": finding.cause,
        "remedy": finding.remedy,
    }


def _layer(outcome: Outcome, layer: str) -> dict[str, Any]:
    specs = load_metrics()
    evidence = outcome.subject.snapshot.layers[layer]
    sample = evidence.sample
    return {
        "metrics": {
            name: {
                "value": _number(value),
                "spec": {"needs": list(specs[name].needs), "n": specs[name].images(evidence)}
                | asdict(specs[name].spec),
            }
            for name, value in outcome.diagnosis.metrics[layer].items()
        },
        "baseline": outcome.baselines[layer],
        "n": len(sample),
        "d": sample.shape[1],
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "layers": {layer: asdict(change) for layer, change in comparison.layers.items()},
        "only_here": comparison.only_here,
        "only_there": comparison.only_there,
    }


def _number(value: Value) -> Value:
    """JSON has no NaN and no infinity."""
    return value if value is not None and math.isfinite(value) else None
