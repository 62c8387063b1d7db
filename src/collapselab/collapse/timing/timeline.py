"""When things happened in a study: onset of each kind, the fall of k-NN behind the guard-on twin, alarms and their lead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from collapselab.collapse.measure import Measured
from collapselab.collapse.registry import load_metrics
from collapselab.collapse.timing.alarms import Curve, Judged, leave_one_seed_out
from collapselab.collapse.timing.onset import Fall, Twin, fall, lead_time, onsets, twins

ALARM_HEADER = (
    "regime",
    "twin",
    "layer",
    "metric",
    "seed",
    "alarm",
    "lead",
    "lead_at_least",
    "healthy_alarm",
    "false_alarm_rate",
    "words",
)
Curves = dict[tuple[str, str], Curve]  # (layer, metric) -> values over snapshots


@dataclass(frozen=True)
class Timeline:
    """When things happened in one cell.

    Attributes:
        onset: layer -> kind -> {"step", "after"}, for kinds that hold at the end.
        twin: the guard-on twin's regime, or "".
        fall: where validation k-NN fell behind it for good ({"step", "after"}, or None), in words otherwise.
    """

    onset: dict[str, dict[str, dict[str, int | None]]]
    twin: str
    fall: dict[str, int | None] | None
    fall_words: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Alarm:
    """A metric's alarms in a regime and in its twin, and each seed's lead over the fall of k-NN."""

    regime: str
    twin: str
    layer: str
    metric: str
    judged: Judged
    falls: Mapping[int, Fall]

    def rows(self) -> list[tuple[Any, ...]]:
        rows = []
        for seed, step in self.judged.alarms.items():
            lead = lead_time(step, self.falls[seed])
            healthy = self.judged.false_alarms.get(seed)
            ours = (self.regime, self.twin, self.layer, self.metric, seed)
            rows.append(
                (*ours, *map(_cell, (step, lead.steps, lead.at_least, healthy)), f"{self.judged.rate:.4g}", lead.words)
            )
        return rows


def timelines(
    regimes: Mapping[str, Sequence[Measured]], knn: Mapping[str, Any]
) -> tuple[dict[str, list[Timeline]], list[Alarm]]:
    """Of every cell, and the alarms of every regime that has a guard-on twin.

    Args:
        knn: what knn.json holds: `regimes` -> list over seeds of {"seed", "curve": [{"step", "knn"}]}.
    """
    pairs = twins({regime: cells[0].run.config for regime, cells in regimes.items()})
    found: dict[str, list[Timeline]] = {}
    alarms: list[Alarm] = []
    for regime, cells in regimes.items():
        twin = pairs.get(regime)
        falls = _falls(cells, twin, knn)
        found[regime] = [_timeline(cell, twin, falls.get(cell.run.seed)) for cell in cells]
        if twin:
            alarms += _alarms(regime, cells, twin.regime, regimes[twin.regime], falls)
    return found, alarms


def _timeline(cell: Measured, twin: Twin | None, fallen: Fall | None) -> Timeline:
    held = {
        layer: {kind: asdict(found) for kind, found in kinds.items() if found}
        for layer, kinds in onsets(cell.steps, cell.severities).items()
    }
    return Timeline(
        onset=held,
        twin=twin.regime if twin else "",
        fall=asdict(fallen.onset) if fallen and fallen.onset else None,
        fall_words=fallen.words if fallen else "no regime of the study differs from this one by guards that are on",
    )


def _falls(cells: Sequence[Measured], twin: Twin | None, knn: Mapping[str, Any]) -> dict[int, Fall]:
    """By seed, against the twin of the same seed."""
    if twin is None:
        return {}
    others = {entry["seed"]: _knn_curve(entry) for entry in knn["regimes"].get(twin.regime, [])}
    own = {entry["seed"]: _knn_curve(entry) for entry in knn["regimes"].get(cells[0].run.regime, [])}
    queries = int(cells[0].run.config["snapshots"]["queries"])
    return {seed: fall(own[seed], others[seed], queries) for seed in own if seed in others}


def _knn_curve(entry: Mapping[str, Any]) -> dict[int, float]:
    return {int(point["step"]): float(point["knn"]) for point in entry["curve"]}


def _alarms(
    regime: str, cells: Sequence[Measured], twin: str, healthy: Sequence[Measured], falls: Mapping[int, Fall]
) -> list[Alarm]:
    """Every metric that collapse moves one way, at every layer that both have."""
    own = {cell.run.seed: _curves(cell) for cell in cells if cell.run.seed in falls}
    others = {cell.run.seed: _curves(cell) for cell in healthy}
    names = sorted(
        {key for curves in own.values() for key in curves} & {key for curves in others.values() for key in curves}
    )
    found = []
    for layer, metric in names:
        collapsed, calm = (
            {seed: curves[layer, metric] for seed, curves in side.items() if (layer, metric) in curves}
            for side in (own, others)
        )
        judged = leave_one_seed_out(load_metrics()[metric].spec, collapsed, calm)
        if judged is not None:
            found.append(Alarm(regime, twin, layer, metric, judged, falls))
    return found


def _curves(cell: Measured) -> Curves:
    points: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for row in cell.rows:
        step, layer, metric, value = row[:4]
        points.setdefault((layer, metric), []).append((step, np.nan if value is None else value))
    return {key: Curve.of(*zip(*pairs, strict=True)) for key, pairs in points.items()}


def _cell(value: int | None) -> str:
    return "" if value is None else str(value)
