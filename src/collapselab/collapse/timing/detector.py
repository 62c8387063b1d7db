"""The detector in time: reads metrics step by step and says which collapse has begun.

Each watched metric is compared with its own best so far: the high-water mark (low-water, where collapse raises it) of its
running median. A fall below the mark can't hide in slow change, since the mark never follows it down, and growth only raises
the mark. A fall counts from a fixed factor or difference on, larger than healthy training brings, and from Z standard
deviations of the metric's own noise, so batches too small to tell give no alarm. One metric alone proves little: a drifting
mean lowers the spread of directions, a shrinking norm every distance. A rule is therefore a conjunction, and it must hold in
3 of the last 5 readings: no single bad batch raises or suppresses an alarm.

Like a cumulative-sum test (Page 1954, Biometrika 41) it watches the distance from a running extreme. What was never there
can't fall: a collapse older than the first readings is for `diagnose` to find. So is local collapse: a batch holds too few
neighbours of an image.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from collapselab.collapse.kind import KINDS
from collapselab.collapse.registry import Value

WINDOW, VOTES = 5, 3  # readings: two of five may be bad, either way
Z = 4.0  # standard deviations of a reading's noise
HOLD = 0.5  # of the limit: an alarm stands until the pressure stayed below it for two windows, so that none flickers
NOISE = 50  # readings from whose differences the noise is estimated


@dataclass(frozen=True)
class Signal:
    """A metric that has gone the way of a collapse.

    Attributes:
        by: how far from its mark, as a factor ("ratio") or a difference; None where the level alone counts.
        level: where it must have arrived as well; None for anywhere.
        floor: ratios are taken of no less: what lies below is noise.
    """

    metric: str
    direction: Literal["down", "up"]
    by: float | None
    scale: Literal["ratio", "difference"] = "ratio"
    level: float | None = None
    floor: float = 1e-30


@dataclass(frozen=True)
class Rule:
    """Signals that together mean a kind, and why these limits."""

    kind: str
    signals: tuple[Signal, ...]
    reason: str


RULES = (
    Rule(
        "complete",
        (Signal("median_distance", "down", 10.0), Signal("direction_spread", "down", 10 / 3)),
        "four directions of 128 keep .18 of the distance; a small norm keeps directions, a drifting mean distances",
    ),
    Rule(
        "complete",
        (Signal("tight_share", "up", 0.3, "difference"),),
        "half of the images or more in one tight point (it reads 0 for fewer), a tenfold gap before the rest",
    ),
    Rule("norm", (Signal("mean_squared_norm", "down", 100.0),), "healthy training moves it less than a hundredfold"),
    Rule(
        "norm", (Signal("mean_squared_norm", "up", 1e4),), "growth up to a thousandfold was seen in networks not lost"
    ),
    Rule(
        "dimensional",
        (
            Signal("spectral_drop", "up", 2.3, "difference"),
            Signal("directional_drop", "up", 2.3, "difference"),
            Signal("live_directions", "down", 1.25),
        ),
        "a tenfold fall in the spectrum of features and of directions that leaves a fifth of them behind: healthy ones reach 4",
    ),
    Rule(
        "dimensional",
        (Signal("resolved_directions", "down", 1.25),),
        "a fifth of the directions gone in the rounding of the floats",
    ),
    Rule(
        "dimensional",
        (Signal("rank_to_power_law", "down", 2.0, level=1.0),),
        "steeper than any healthy network's spectrum, and at most half its own rank before",
    ),
    Rule(
        "cluster",
        (Signal("cluster_within", "down", 3.0, level=0.1), Signal("cluster_jump", "up", 2.0, level=8.0)),
        "classes of a good network keep .2 of the variance inside; halving a line gives a jump of 8",
    ),
    Rule(
        "one-hot",
        (Signal("marginal_entropy", "down", 2.5, level=0.7), Signal("mean_entropy", "down", None, level=0.8)),
        "each image is decided, and all for less than two prototypes (ln 2)",
    ),
    Rule(
        "uniform",
        (
            Signal("mutual_information", "down", 10.0, floor=1e-4),
            Signal("mean_entropy", "up", 0.2, "difference"),
        ),
        "what the softmax said is gone, and its entropy rose: sharpening lowers both",
    ),
    Rule(
        "prototype",
        (Signal("used_prototypes", "down", 4.0), Signal("used_prototypes", "up", None, level=1.5)),
        "a healthy head dipped to half of its prototypes; a single one left is one-hot",
    ),
    Rule(
        "token-position",
        (Signal("token_position_share", "up", 0.1, "difference", level=0.95),),
        "position explains nearly all, and it did not before",
    ),
    Rule(
        "token-smooth", (Signal("token_within_share", "down", 3.0, level=0.05),), "maps are nearly flat, and were not"
    ),
    Rule(
        "nuisance",
        (Signal("variance_ratio", "down", 4.0, level=0.1, floor=0.01),),
        "untrained networks read .2, healthy ones more",
    ),
)
_RULED = tuple(kind for kind in KINDS if any(rule.kind == kind for rule in RULES))
WATCHED = tuple(sorted({signal.metric for rule in RULES for signal in rule.signals}))


@dataclass(frozen=True)
class Alarm:
    """A collapse that has begun: its kind, the step of the reading that proved it, the evidence in words."""

    step: int
    kind: str
    evidence: str


@dataclass
class _Track:
    """One signal's mark, noise and last readings."""

    signal: Signal
    window: int
    mark: float = -math.inf  # on the signal's own scale, its healthy direction up

    def __post_init__(self) -> None:
        self.recent: deque[float] = deque(maxlen=self.window)
        self.moves: deque[float] = deque(maxlen=NOISE)

    def read(self, value: Value) -> float:
        """How far beyond the limit a reading lies, 1 at the limit; 0 where it is undefined or has not arrived."""
        if value is None or not math.isfinite(value):
            return 0.0
        signal, sign = self.signal, 1 if self.signal.direction == "down" else -1
        arrived = signal.level is None or sign * (signal.level - value) > 0
        if signal.by is None:
            return math.inf if arrived else 0.0
        ratio = signal.scale == "ratio"
        here = sign * (math.log(max(value, signal.floor)) if ratio else value)
        if self.recent:
            self.moves.append(abs(here - self.recent[-1]))
        limit = max(math.log(signal.by) if ratio else signal.by, Z * self.noise)
        score = (self.mark - here) / limit if math.isfinite(self.mark) and arrived else 0.0
        self.recent.append(here)
        self.mark = max(self.mark, float(np.median(self.recent)))
        return max(0.0, score)

    @property
    def noise(self) -> float:
        """Standard deviation of a reading: 1.4826 times the median difference of successive ones, over sqrt(2)."""
        return 1.4826 / math.sqrt(2) * float(np.median(self.moves)) if self.moves else 0.0


class Detector:
    """Watches one layer. Feed it every reading in order; within-batch metrics will do.

    Args:
        limits: kind -> pressure from which it is alarmed; 1 unless healthy streams of one's own ask for more.
        warm_up: readings before this step are not looked at.
        window, votes: a rule must hold in `votes` of the last `window` readings; 1, 1 for sparse snapshots without noise.

    `pressure`: kind -> how near to an alarm it stands, 1 at the declared limits; the largest that `votes` readings share.
    `alarms`: all that were given. An alarm is given once, again only after the kind was gone; while a layer has collapsed
    completely its shape means nothing, and no other kind is alarmed.
    """

    def __init__(
        self, limits: Mapping[str, float] | None = None, warm_up: int = 0, window: int = WINDOW, votes: int = VOTES
    ) -> None:
        self.limits = {kind: 1.0 for kind in KINDS} | dict(limits or {})
        self.warm_up, self.votes = warm_up, votes
        self.pressure: dict[str, float] = {}
        self.alarms: list[Alarm] = []
        self._tracks = {signal: _Track(signal, window) for rule in RULES for signal in rule.signals}
        self._scores: list[deque[float]] = [deque(maxlen=window) for _ in RULES]
        self._calm: dict[str, int] = {}  # kind that was alarmed -> readings since the pressure fell
        self._patience = 2 * window

    def update(self, step: int, metrics: Mapping[str, Value]) -> Alarm | None:
        """Take the reading of one step; what it lacks is not judged.

        Returns a new alarm; of several, complete or else the one of the most pressure. `alarms` holds them all.
        """
        if step < self.warm_up:
            return None
        voted = self._vote({signal: track.read(metrics.get(signal.metric)) for signal, track in self._tracks.items()})
        best = {kind: max((i for i, r in enumerate(RULES) if r.kind == kind), key=voted.__getitem__) for kind in _RULED}
        self.pressure = {kind: voted[i] for kind, i in best.items()}
        standing = {kind for kind in _RULED if self.pressure[kind] >= self.limits[kind]}
        calm = {kind: 0 if self.pressure[kind] >= HOLD * self.limits[kind] else n + 1 for kind, n in self._calm.items()}
        self._calm = {kind: n for kind, n in calm.items() if n <= self._patience}
        if "complete" in self._calm:
            return None
        new = sorted(standing - self._calm.keys(), key=lambda kind: (kind != "complete", -self.pressure[kind], kind))
        new = new[:1] if new[:1] == ["complete"] else new
        self._calm |= dict.fromkeys(new, 0)
        given = [Alarm(step, kind, _evidence(RULES[best[kind]], self._tracks, metrics)) for kind in new]
        self.alarms += given
        return given[0] if given else None

    def _vote(self, scores: Mapping[Signal, float]) -> list[float]:
        """For each rule, the score that at least `votes` of the last readings reach."""
        for rule, recent in zip(RULES, self._scores, strict=True):
            recent.append(min(scores[signal] for signal in rule.signals))
        return [
            sorted(recent, reverse=True)[self.votes - 1] if len(recent) >= self.votes else 0.0
            for recent in self._scores
        ]


def _evidence(rule: Rule, tracks: Mapping[Signal, _Track], metrics: Mapping[str, Value]) -> str:
    told = []
    for signal in rule.signals:
        value, mark = metrics.get(signal.metric), tracks[signal].mark
        best = "" if not math.isfinite(mark) else f" (best {_value(signal, mark):.3g})"
        told.append(f"{signal.metric} {'undefined' if value is None else format(value, '.3g')}{best}")
    return ", ".join(told)


def _value(signal: Signal, mark: float) -> float:
    signed = mark if signal.direction == "down" else -mark
    return math.exp(signed) if signal.scale == "ratio" else signed
