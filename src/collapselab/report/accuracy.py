"""Accuracies with what they are worth: intervals, comparisons paired by seed and by image, the best step by validation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collapselab.report.inputs import Results, Run
from collapselab.report.intervals import Images, Interval, beyond, t_interval
from collapselab.report.tables import NONE, PIXELS, Table, by_backbone, mean, percent, signed

SCORES = {"knn": "k-NN", "linear": "linear probe"}
Right = NDArray[np.uint8]  # whether each test image was named rightly, [M]


@dataclass(frozen=True)
class Section:
    """A part of the page: an introduction, and tables under headings."""

    name: str
    title: str
    text: str
    tables: list[tuple[str, Table]]


def accuracy_section(results: Results) -> Section | None:
    """None where the images carry no labels."""
    if not results.labelled:
        return None
    images = Images(results.originals)
    tables = [("Accuracy on test images, after the last epoch", accuracy_table(results, images))]
    tables += [
        (f"Differences of the {title}, paired by seed", comparison_table(results, images, score))
        for score, title in SCORES.items()
    ]
    tables.append(("k-NN on validation images: at the start, at the end, and at its best step", best_table(results)))
    return Section(
        "accuracy",
        "How sure the accuracies are",
        "Two kinds of interval, which answer different questions. Over images: a bootstrap over test images, drawn together where "
        "they are draws of one original; how far other test images could have moved the mean of these networks. Over seeds: from "
        "the smallest to the largest of these networks, and for differences Student's interval of the mean, which is 6.3 standard "
        "errors either way with two seeds, 2.9 with three and 2.1 with five. Intervals are of 90 %. A difference is taken between "
        "networks of the same seed on the same test images. The best step by validation is the best of many looks at few images, "
        "and so too good; no test image was asked about at that step.",
        tables,
    )


def accuracy_table(results: Results, images: Images) -> Table:
    """Regimes, then random initialisation and raw pixels: mean over seeds, interval over images, spread over seeds."""
    header = ["regime"]
    for title in SCORES.values():
        header += [title, f"{title}: 90 % interval over images", f"{title}: smallest to largest seed"]
    rows = [[name, *_scored(results, images, runs, "final")] for name, runs in results.regimes.items()]
    rows += [
        [f"random initialisation, {backbone}", *_scored(results, images, runs, "initial")]
        for backbone, runs in by_backbone(results).items()
    ]
    pixels = [PIXELS]
    for score in SCORES:
        pixels += [
            percent(results.pixels[score]),
            span(images.interval(results.right[score]["pixels"])),
            NONE,
        ]
    return Table(header, [*rows, pixels])


def _scored(results: Results, images: Images, runs: Sequence[Run], when: str) -> list[str]:
    cells = []
    for score in SCORES:
        values = [run.score(score, when) for run in runs]
        right = np.mean([answers(results, run, score, when) for run in runs], axis=0)
        cells += [percent(mean(values)), span(images.interval(right)), spread(values)]
    return cells


@dataclass(frozen=True)
class Difference:
    """Of an accuracy between two networks of the same seed: mean, each seed's, and both intervals; all in points."""

    mean: float
    seeds: list[float]
    over_seeds: Interval | None
    over_images: Interval

    @property
    def sure(self) -> str:
        """Which of the intervals leave zero out."""
        found = [name for name, at in (("images", self.over_images), ("seeds", self.over_seeds)) if beyond(at)]
        return " and ".join(found) or "neither"

    def cells(self) -> list[str]:
        seeds = ", ".join(map(signed, self.seeds))
        over_seeds = points(self.over_seeds) if self.over_seeds else NONE
        return [signed(self.mean), seeds, over_seeds, points(self.over_images), self.sure]


def difference(images: Images, pairs: Mapping[int, tuple[Right, Right]]) -> Difference | None:
    """Of the first over the second, by seed; None without a pair."""
    if not pairs:
        return None
    gaps = [100 * (first.astype(np.float64) - second) for first, second in pairs.values()]
    seeds = [float(gap.mean()) for gap in gaps]
    return Difference(mean(seeds), seeds, t_interval(seeds), images.interval(np.mean(gaps, axis=0)))


def comparison_table(results: Results, images: Images, score: str) -> Table:
    """Every regime against its own initialisation and its guard-on twin; raw pixels against the same initialisations."""

    def told(runs: Iterable[Run], when: str) -> dict[int, Right]:
        return {run.seed: answers(results, run, score, when) for run in runs}

    def paired(first: Mapping[int, Right], second: Mapping[int, Right]) -> Difference | None:
        return difference(images, {seed: (first[seed], second[seed]) for seed in first if seed in second})

    rows: list[tuple[str, str, Difference | None]] = []
    for name, runs in results.regimes.items():
        twin = str(runs[0].diagnosis["twin"])
        against = {"its random initialisation": told(runs, "initial")}
        if twin:
            against[f"{twin}, its guard-on twin"] = told(results.regimes[twin], "final")
        rows += [(name, other, paired(told(runs, "final"), right)) for other, right in against.items()]
    for backbone, runs in by_backbone(results).items():
        initial = told(runs, "initial")
        pixels = dict.fromkeys(initial, results.right[score]["pixels"])
        rows.append((PIXELS, f"random initialisation, {backbone}", paired(pixels, initial)))
    header = ["regime", "against", "points", "by seed", "90 % t-interval over seeds", "90 % interval over images"]
    return Table(
        [*header, "clear of 0, over"],
        [[name, other, *found.cells()] for name, other, found in rows if found],
    )


def best_table(results: Results) -> Table:
    """Validation k-NN at the start, at the end and at its best, beside what the test images say of the end."""
    header = [
        "regime",
        "at initialisation",
        "at the end",
        "best",
        "best at step, by seed",
        "on test images, at the end",
    ]
    rows = []
    for name, runs in results.regimes.items():
        curves = [run.knn["curve"] for run in runs]
        rows.append(
            [
                name,
                percent(mean(curve[0]["knn"] for curve in curves)),
                percent(mean(curve[-1]["knn"] for curve in curves)),
                percent(mean(run.knn["best"]["knn"] for run in runs)),
                ", ".join(
                    f"{run.knn['best']['step']} of {curve[-1]['step']}" for run, curve in zip(runs, curves, strict=True)
                ),
                percent(mean(run.score("knn", "final") for run in runs)),
            ]
        )
    rows.append([PIXELS, NONE, NONE, NONE, NONE, percent(results.pixels["knn"])])
    return Table(header, rows)


def answers(results: Results, run: Run, score: str, when: str) -> Right:
    """At the representation, when: initial or final."""
    return results.right[score][f"{run.regime}/{run.seed}/{run.representation}/{when}"]


def spread(values: Iterable[float]) -> str:
    found = list(values)
    return span((min(found), max(found))) if len(found) > 1 else NONE


def span(interval: Interval) -> str:
    """Shares, 0 to 1, as percent."""
    return f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}"


def points(interval: Interval) -> str:
    return f"{signed(interval[0])} to {signed(interval[1])}"
