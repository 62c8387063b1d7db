"""Alarms on a metric's curve, at thresholds that healthy runs set: calibrated on some seeds, judged on others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from collapselab.collapse.registry import Spec

Scale = Literal["ratio", "difference"]
MARGIN = 1.5  # times the farthest healthy excursion: the next healthy run is seldom the same, and few were seen
LEAST = math.log(
    1.25
)  # a metric that moves by less than a quarter gives no alarm, however still the healthy runs stood
SOFTENING = 0.01  # of the healthy curves' typical size: added to both sides of a ratio, so that a metric may start at 0


@dataclass(frozen=True)
class Curve:
    """One metric of one run over its snapshots: steps [S] ascending, values [S], NaN where undefined."""

    steps: NDArray[np.int64]
    values: NDArray[np.float64]

    @classmethod
    def of(cls, steps: Sequence[int] | NDArray[Any], values: Sequence[float | None] | NDArray[Any]) -> Curve:
        """From plain lists; None is undefined. Raises ValueError where lengths differ or steps don't ascend."""
        at = np.asarray(steps, dtype=np.int64)
        found = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
        if at.shape != found.shape or at.ndim != 1 or (np.diff(at) <= 0).any():
            raise ValueError(f"{len(at)} ascending steps need as many values, not {len(found)}")
        return cls(at, found)


@dataclass(frozen=True)
class Rule:
    """How far a metric has gone the way that collapse takes it, and when that is an alarm.

    Attributes:
        direction: the way of a collapse, `Spec.falls`.
        scale: "ratio" compares logarithms with the reference, "difference" values.
        softening: added to values before their logarithm.
        warm_up: the reference is the median of the readings up to this step; 0: the reading at initialisation.
        persistence: readings in a row that must lie beyond the threshold.
    """

    direction: Literal["down", "up"]
    scale: Scale
    softening: float = 0.0
    warm_up: int = 0
    persistence: int = 1

    @classmethod
    def of(cls, spec: Spec, healthy: Iterable[Curve], warm_up: int = 0, persistence: int = 1) -> Rule:
        """The rule of a metric: ratios where no healthy value is negative, differences where values are logarithms or signed.

        Raises ValueError for a metric that no collapse moves one way (`falls` is "").
        """
        if not spec.falls:
            raise ValueError(f"a metric that collapse moves neither down nor up gives no alarm: {spec.formula}")
        values = np.concatenate([curve.values for curve in healthy])
        values = values[np.isfinite(values)]
        signed = spec.range.startswith(("any", "-")) or " log" in spec.range or (len(values) > 0 and values.min() < 0)
        if signed or len(values) == 0:
            return cls(spec.falls, "difference", 0.0, warm_up, persistence)
        softening = SOFTENING * float(np.median(values)) or float(SOFTENING * values.max()) or SOFTENING
        return cls(spec.falls, "ratio", softening, warm_up, persistence)

    def scores(self, curve: Curve) -> NDArray[np.float64]:
        """[S]: how far beyond the reference each reading lies in the direction of a collapse; NaN where undefined.

        Readings that make the reference score no alarm and are NaN as well.
        """
        values = curve.values
        if self.scale == "ratio":
            values = np.log(np.maximum(values + self.softening, 1e-300))
        early = curve.steps <= max(self.warm_up, int(curve.steps[0]))
        known = values[early & np.isfinite(values)]
        reference = float(np.median(known)) if len(known) else math.nan
        moved = reference - values if self.direction == "down" else values - reference
        return np.where(early, np.nan, moved)

    def persistent(self, curve: Curve) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(steps, score): at each defined reading the least of the last `persistence` scores, what a threshold meets."""
        scores = self.scores(curve)
        known = np.isfinite(scores)
        steps, found = curve.steps[known], scores[known]
        if len(found) < self.persistence:
            return steps[:0], found[:0]
        windows = np.lib.stride_tricks.sliding_window_view(found, self.persistence)
        return steps[self.persistence - 1 :], windows.min(1)


@dataclass(frozen=True)
class Calibrated:
    """A threshold MARGIN times as far as any healthy run of the calibration went.

    Exchangeable with them, another healthy run passes it with probability at most 1 / (runs + 1) = `rate`: the rank of its
    largest score among runs + 1 is uniform. The margin makes alarms rarer; no lower rate can be proven from so few runs.
    """

    rule: Rule
    threshold: float
    runs: int

    @property
    def rate(self) -> float:
        return 1 / (self.runs + 1)

    def alarm(self, curve: Curve) -> int | None:
        """The step of the first alarm, as it would have been given in time: no later reading is looked at."""
        steps, scores = self.rule.persistent(curve)
        beyond = np.flatnonzero(scores > self.threshold)
        return int(steps[beyond[0]]) if len(beyond) else None


def calibrate(rule: Rule, healthy: Sequence[Curve]) -> Calibrated:
    """The threshold that healthy runs set, together. Raises ValueError without a run."""
    if not healthy:
        raise ValueError("a threshold needs at least one healthy run")
    largest = [float(scores.max()) for _, scores in map(rule.persistent, healthy) if len(scores)]
    if not largest:
        return Calibrated(rule, math.inf, len(healthy))
    return Calibrated(rule, max(MARGIN * max(largest), LEAST if rule.scale == "ratio" else 0.0), len(healthy))


@dataclass(frozen=True)
class Judged:
    """A metric's alarms at thresholds from other seeds.

    Attributes:
        alarms: seed -> step of the alarm in the collapsed run, None where there was none.
        false_alarms: seed -> step of the alarm in the healthy run of that seed.
        thresholds: seed -> what it was judged by.
        rate: the false-alarm rate that may be quoted: the observed one, or 1 / (n + 1) where that is larger.
        words: the same for a person.
    """

    alarms: dict[int, int | None]
    false_alarms: dict[int, int | None]
    thresholds: dict[int, float]
    rate: float
    words: str


def leave_one_seed_out(
    spec: Spec,
    collapsed: Mapping[int, Curve],
    healthy: Mapping[int, Curve],
    *,
    warm_up: int = 0,
    persistence: int = 1,
) -> Judged | None:
    """Alarms of one metric at one layer: each seed by the healthy runs of the others.

    Args:
        spec: the metric's; its `falls` gives the direction.
        collapsed: seed -> curve of the run that is asked about.
        healthy: seed -> curve of the guard-on twin.

    Returns:
        None where no other seed has a healthy run (a single seed), or the metric has no direction.
    """
    folds = {seed: [curve for other, curve in healthy.items() if other != seed] for seed in {*collapsed, *healthy}}
    folds = {seed: folds[seed] for seed in sorted(folds) if folds[seed]}
    if not spec.falls or not folds:
        return None
    found = {seed: calibrate(Rule.of(spec, others, warm_up, persistence), others) for seed, others in folds.items()}
    alarms = {seed: found[seed].alarm(curve) for seed, curve in collapsed.items() if seed in found}
    wrong = {seed: found[seed].alarm(curve) for seed, curve in healthy.items() if seed in found}
    least = max(calibrated.rate for calibrated in found.values())
    count = sum(step is not None for step in wrong.values())
    rate = max(least, count / len(wrong)) if wrong else least
    thresholds = {seed: calibrated.threshold for seed, calibrated in found.items()}
    runs = min(calibrated.runs for calibrated in found.values())
    return Judged(alarms, wrong, thresholds, rate, _words(alarms, count, len(wrong), rate, runs))


def _words(alarms: Mapping[int, int | None], wrong: int, judged: int, rate: float, runs: int) -> str:
    given = [step for step in alarms.values() if step is not None]
    at = f" at step {', '.join(str(step) for step in given)}" if given else ""
    return (
        f"alarm in {len(given)} of {len(alarms)} runs{at}; {wrong} false in {judged} healthy runs, each threshold from "
        f"{runs} healthy {'run' if runs == 1 else 'runs'} of other seeds: no false-alarm rate below {rate:.2g} can be quoted"
    )
