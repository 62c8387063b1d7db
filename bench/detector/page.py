"""docs/detector.md, from what bench/detector saw."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from bench.detector.streams import NULLS, PLANTED, WEAK
from scipy.stats import chi2

from collapselab.collapse.timing.detector import RULES, VOTES, WINDOW
from collapselab.collapse.timing.onset import wilson

EVERY = 10  # steps between readings
# What is often watched alone: an alarm where it stays under half of its first value for three readings.
ALONE = ("effective_rank", "normalised_std")

TEXT = """\
# The detector in time

`collapse/timing/detector.py` reads the metrics of within-batch features step by step and says which collapse has begun. This page
is written by `make detector`; the streams are in `bench/detector/streams.py`.

Each metric is held against its own best so far (the running median's high-water mark). It counts once it fell by a declared
factor, and by more than four standard deviations of its own noise. A rule is a conjunction of such metrics, and must hold in
{votes} of the last {window} readings. So a slow fall can't hide, growth raises only the mark, and one bad batch changes nothing.
What was never there can't fall: a collapse older than the first readings is for `collapselab diagnose`. Local collapse is not
watched, since a batch holds too few neighbours of an image; token kinds are, but have no stream here.

{judged_seeds} seeds, {steps} steps each, read every {every} steps. Each change and seed has an encoder of its own, with its own
noise; a change that comes suddenly and slowly comes over the same ones. Intervals are 90 %.

## Healthy streams
{nulls}
## Planted collapses
At a random step, either at once or over three tenths of the stream. Standard deviations fall, and the exploding norm rises,
geometrically, to a thousandth or a thousandfold (to a fiftieth within tight classes, a twentieth where only the augmentation is
left); one-hot and prototype collapse come in linearly. Delay runs from the first step of the change; a sudden one can't be named
in fewer than {votes} readings. Half of the images is the hardest case: whether they are just more or just fewer than half of a
batch is chance, and every median turns on it.

{planted}
A slow one-hot collapse passes through few prototypes, and may first be named so.

## Where recall ends
Weaker collapses, at once. What is left may still serve: the limits are declared where a verdict's severity starts, not where a
change can first be seen.

{weak}
## Beside single metrics
What is often watched alone, an alarm where it stays under half of its first value for three readings. They name no kind.

{alone}
## How near healthy streams came
Largest pressure, 1 being an alarm. The limits were declared, checked on {calibration_seeds} seeds and judged on the others.

{pressures}
## Rules
{rules}
"""


@dataclass(frozen=True)
class Size:
    """How much is run: seeds that check limits, seeds that judge, readings a stream, images and dimensions by seed."""

    calibration: int
    judged: int
    readings: int
    images: tuple[int, ...]
    dimensions: tuple[int, ...]


@dataclass(frozen=True)
class Watched:
    """One stream: what was planted and when (None: a null), what the detector and the lone metrics said."""

    name: str
    kind: str
    slow: bool
    planted: int | None
    steps: int
    alarms: list[tuple[int, str]]
    pressure: dict[str, float]
    alone: dict[str, int | None]

    @property
    def false(self) -> int:
        return len([step for step, _ in self.alarms if self.planted is None or step < self.planted])

    @property
    def named(self) -> int | None:
        """Step of the alarm of the planted kind."""
        assert self.planted is not None
        return next((step for step, kind in self.alarms if kind == self.kind and step >= self.planted), None)

    @property
    def first(self) -> str | None:
        """The kind of the first alarm after the collapse was planted."""
        assert self.planted is not None
        return next((kind for step, kind in self.alarms if step >= self.planted), None)


def page(
    size: Size, calibration: list[Watched], healthy: list[Watched], ill: list[Watched], weak: list[Watched]
) -> str:
    return TEXT.format(
        window=WINDOW,
        votes=VOTES,
        calibration_seeds=size.calibration,
        judged_seeds=size.judged,
        every=EVERY,
        steps=size.readings * EVERY,
        nulls=_null_table(healthy),
        planted=_planted_table(ill),
        weak=_weak_table(weak),
        alone=_alone_table(healthy, ill),
        pressures=_pressure_table(calibration, healthy),
        rules=_rule_table(),
    )


def rate(count: int, steps: int) -> str:
    """Per thousand steps, with the exact 90 % interval of a Poisson rate (Garwood 1936)."""
    low, high = (chi2.ppf(0.05, 2 * count) / 2 if count else 0.0), chi2.ppf(0.95, 2 * count + 2) / 2
    thousand = steps / 1000
    return f"{count / thousand:.3f} ({low / thousand:.3f} to {high / thousand:.3f})"


def share(count: int, of: int) -> str:
    low, high = wilson(count / of, of)
    return f"{count} of {of} ({low:.2f} to {high:.2f})"


def delay(streams: Iterable[Watched]) -> str:
    """Median over streams, with the central 90 % of them."""
    found = [
        stream.named - stream.planted for stream in streams if stream.planted is not None and stream.named is not None
    ]
    if not found:
        return "never"
    low, middle, high = np.quantile(found, [0.05, 0.5, 0.95])
    return f"{middle:.0f} ({low:.0f} to {high:.0f})"


def table(header: list[str], rows: Iterable[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _null_table(healthy: list[Watched]) -> str:
    rows = [[name, *_false([s for s in healthy if s.name == name])] for name in NULLS]
    return table(["null", "streams", "false alarms", "per thousand steps"], [*rows, ["**all**", *_false(healthy)]])


def _false(streams: list[Watched]) -> list[str]:
    wrong = sum(stream.false for stream in streams)
    return [str(len(streams)), str(wrong), rate(wrong, sum(stream.steps for stream in streams))]


def _planted_table(ill: list[Watched]) -> str:
    header = ["planted", "kind", "how", "named", "first alarm of that kind", "delay, steps"]
    rows = []
    for name, (kind, _) in PLANTED.items():
        for slow in (False, True):
            chosen = [s for s in ill if s.name == name and s.slow == slow]
            named, first = sum(s.named is not None for s in chosen), sum(s.first == kind for s in chosen)
            rows.append(
                [
                    name,
                    kind,
                    "slow" if slow else "sudden",
                    share(named, len(chosen)),
                    share(first, len(chosen)),
                    delay(chosen),
                ]
            )
    named, first = sum(s.named is not None for s in ill), sum(s.first == s.kind for s in ill)
    return table(header, [*rows, ["**all**", "", "", share(named, len(ill)), share(first, len(ill)), delay(ill)]])


def _weak_table(weak: list[Watched]) -> str:
    rows = []
    for name, (kind, _) in WEAK.items():
        chosen = [s for s in weak if s.name == name]
        others = sorted({held for s in chosen for step, held in s.alarms if step >= (s.planted or 0)} - {kind})
        named = sum(s.named is not None for s in chosen)
        rows.append([name, kind, share(named, len(chosen)), delay(chosen), ", ".join(others)])
    return table(["planted", "kind", "named", "delay, steps", "other kinds named"], rows)


def _alone_table(healthy: list[Watched], ill: list[Watched]) -> str:
    before, steps = sum(s.false for s in ill), sum(s.planted or 0 for s in ill)
    wrong, total = sum(s.false for s in healthy), sum(s.steps for s in healthy)
    rows = [
        [
            "this detector",
            share(sum(s.named is not None for s in ill), len(ill)),
            share(sum(s.false > 0 for s in healthy), len(healthy)),
            rate(wrong + before, total + steps),
        ]
    ]
    for metric in ALONE:
        given = sum(s.alone[metric] is not None for s in ill)
        false = sum(s.alone[metric] is not None for s in healthy)
        rows.append([f"{metric} under half of its first value", share(given, len(ill)), share(false, len(healthy)), ""])
    return table(
        ["rule", "alarm in planted streams", "alarm in healthy streams", "false alarms per thousand steps"], rows
    )


def _pressure_table(calibration: list[Watched], healthy: list[Watched]) -> str:
    def largest(kind: str, streams: list[Watched]) -> str:
        return f"{max(stream.pressure[kind] for stream in streams):.2f}"

    kinds = dict.fromkeys(rule.kind for rule in RULES if not rule.kind.startswith("token"))
    return table(
        ["kind", "calibration seeds", "judged seeds"],
        ([k, largest(k, calibration), largest(k, healthy)] for k in kinds),
    )


def _rule_table() -> str:
    def signals() -> Iterator[list[str]]:
        for rule in RULES:
            told = []
            for s in rule.signals:
                how = (
                    ""
                    if s.by is None
                    else f"{s.direction} {'by a factor of' if s.scale == 'ratio' else 'by'} {s.by:.3g}"
                )
                where = "" if s.level is None else f"{'under' if s.direction == 'down' else 'over'} {s.level:g}"
                told.append(f"{s.metric} {' to '.join(part for part in (how, where) if part)}")
            yield [rule.kind, " and ".join(told), rule.reason]

    return table(["kind", "signals", "why"], signals())
