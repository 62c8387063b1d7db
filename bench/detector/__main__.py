"""The detector in time on feature streams with known truth: recall, false alarms per thousand steps, delay.

    python -m bench.detector # minutes on one core; writes docs/detector.md
    python -m bench.detector --fast     # seconds: too few streams for a claim, enough for a test

Each change and seed has an encoder of its own (spectrum, mean, heavy tails, rectifier, batch of 96 to 192 images, 32 to 128
dimensions), read once in ten steps over a thousand, on batches of augmented images drawn anew. Limits are checked on some seeds
and judged on others.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.detector.page import ALONE, EVERY, Size, Watched, page
from bench.detector.streams import NULLS, PLANTED, WEAK, Change, Stream
from threadpoolctl import threadpool_limits

from collapselab.collapse.registry import compute_all
from collapselab.collapse.timing.detector import RULES, WATCHED, Detector
from collapselab.files import write_text
from collapselab.randomness import generator

READ = [name for name in WATCHED if not name.startswith("token")]
SOFTMAX = ("one-hot", "uniform", "prototype")
OUT = Path(__file__).parents[2] / "docs" / "detector.md"


FULL = Size(5, 15, 100, (96, 128, 192), (32, 64, 128))
FAST = Size(1, 1, 45, (64,), (32,))


def watch(name: str, change: Change, seed: int, size: Size, kind: str = "", slow: bool = False) -> Watched:
    """One stream, read by a detector with the declared limits."""
    # Sudden and slow, one change comes over the same encoders; another change, over others.
    stream = Stream(name, seed, size.images[seed % len(size.images)], size.dimensions[seed // 3 % len(size.dimensions)])
    length = size.readings * EVERY
    planted = int(generator(seed, f"bench/planted/{name}").integers(length // 5, length // 2)) if kind else 0
    ramp = 0.3 * length if slow else 0.0 if kind else float(length)
    detector, pressure = Detector(), dict.fromkeys((rule.kind for rule in RULES), 0.0)
    lone: dict[str, list[tuple[int, float]]] = {metric: [] for metric in ALONE}
    for step in range(0, length, EVERY):
        state = stream.start()
        gone = float(step >= planted) if ramp == 0 else min(1.0, max(0.0, (step - planted) / ramp))
        change(state, gone, stream)
        evidence = stream.draw(state, step, softmax=not kind or kind in SOFTMAX)
        found = compute_all(evidence, only=[*READ, *ALONE])
        detector.update(step, found)
        pressure = {held: max(pressure[held], value) for held, value in detector.pressure.items()}
        for metric in ALONE:
            lone[metric].append((step, found.get(metric) or 0.0))
    alarms = [(alarm.step, alarm.kind) for alarm in detector.alarms]
    alone = {metric: _halved(readings) for metric, readings in lone.items()}
    return Watched(name, kind, slow, planted if kind else None, length, alarms, pressure, alone)


def _halved(readings: list[tuple[int, float]]) -> int | None:
    low = [value < 0.5 * readings[0][1] for _, value in readings]
    return next((step for i, (step, _) in enumerate(readings) if i >= 2 and all(low[i - 2 : i + 1])), None)


def nulls(size: Size, seeds: Iterable[int]) -> list[Watched]:
    return [watch(name, change, seed, size) for name, change in NULLS.items() for seed in seeds]


def planted(
    collapses: Mapping[str, tuple[str, Change]], size: Size, seeds: Iterable[int], speeds: Iterable[bool]
) -> list[Watched]:
    return [
        watch(name, change, seed, size, kind, slow)
        for name, (kind, change) in collapses.items()
        for slow in speeds
        for seed in seeds
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="few and short streams")
    parser.add_argument("--out", type=Path, default=OUT, help="default: docs/detector.md")
    chosen = parser.parse_args()
    size = FAST if chosen.fast else FULL
    judged = range(1000, 1000 + size.judged)
    with threadpool_limits(1):
        ill = planted(PLANTED, size, judged, (False, True))
        weak = planted(WEAK, size, judged, (False,))
        found = page(size, nulls(size, range(size.calibration)), nulls(size, judged), ill, weak)
    write_text(chosen.out, found)


if __name__ == "__main__":
    main()
