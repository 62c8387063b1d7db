"""What the report says in words: pure functions from results to sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from collapselab.collapse.kind import AT_THE_LOSS, load_kinds, read_at
from collapselab.report import sweep
from collapselab.report.captions import PREVIEWS
from collapselab.report.charts import verdict_of
from collapselab.report.inputs import Results, Run
from collapselab.report.protocol import NO_LABELS, step_range
from collapselab.report.tables import gain, mean, percent, signed
from collapselab.report.verdicts import Badge, badges, onsets

NOTHING_LEARNT = 2.0  # percentage points of k-NN around initialisation


@dataclass(frozen=True)
class Evidence:
    """What was found about one regime, in sentences."""

    regime: str
    badges: tuple[Badge, ...]
    sentences: list[str]
    layers: str


def summary(results: Results) -> str:
    """One sentence on what was run."""
    counts, size, seeds = results.manifest["counts"], results.manifest["size"], {run.seed for run in results.runs}
    return (
        f"{_count(len(results.regimes), 'regime')} with {_count(len(seeds), 'seed')} on {results.manifest['source']}: "
        f"{counts['train']:,} training, {counts['validation']:,} validation and {counts['test']:,} test images of "
        f"{size} x {size} pixels {_classes(results)}."
    )


def _classes(results: Results) -> str:
    return f"in {len(results.manifest['classes'])} classes" if results.labelled else "without labels"


def findings(results: Results) -> list[str]:
    """What came out: who collapsed and how, who learnt, who did not."""
    collapsed = {name: verdict_of(runs) for name, runs in results.regimes.items()}
    bad = [f"{name} ({_where_held(results.regimes[name], kinds)})" for name, kinds in collapsed.items() if kinds]
    healthy = [name for name, kinds in collapsed.items() if not kinds]
    gains = {name: gain(runs) for name, runs in results.regimes.items()}
    agreed = {name: points for name, points in gains.items() if seeds_agree(results.regimes[name])}
    learnt = [f"{name} ({signed(agreed[name])})" for name in healthy if agreed.get(name, 0) >= NOTHING_LEARNT]
    worse = [f"{name} ({signed(points)})" for name, points in agreed.items() if points <= -NOTHING_LEARNT]
    open_ = [
        f"{name} ({_list([signed(g) for g in _gains(runs)])})"
        for name, runs in results.regimes.items()
        if name not in agreed
    ]
    sentences = [f"Collapsed: {_list(bad)}." if bad else "No regime collapsed."]
    if not results.labelled:
        return [*sentences, NO_LABELS, *sweep.findings(results)]
    if learnt:
        sentences.append(f"Healthy, and above their own initialisation (k-NN points): {_list(learnt)}.")
    idle = nothing_learnt(results)
    if idle:
        sentences.append(
            f"Within {NOTHING_LEARNT:g} points of their own initialisation, so nothing learnt that k-NN can see: "
            f"{_list(idle)}."
        )
    if worse:
        sentences.append(f"Below their own initialisation: {_list(worse)}.")
    if open_:
        sentences.append(f"Seeds disagree on the sign of the change, so nothing is said: {_list(open_)}.")
    return [*sentences, _against_pixels(results), *sweep.findings(results)]


def _against_pixels(results: Results) -> str:
    pixels = results.pixels["knn"]
    better = [
        name for name, runs in results.regimes.items() if mean(run.score("knn", "final") for run in runs) > pixels
    ]
    return f"Better than k-NN on raw pixels ({percent(pixels)}): {_list(better) or 'none'}."


def nothing_learnt(results: Results) -> list[str]:
    return [name for name, runs in results.regimes.items() if seeds_agree(runs) and abs(gain(runs)) < NOTHING_LEARNT]


def _gains(runs: Sequence[Run]) -> list[float]:
    """Change of k-NN from a run's own initialisation, percentage points, one a seed."""
    return [gain([run]) for run in runs]


def seeds_agree(runs: Sequence[Run]) -> bool:
    """Whether every seed changed the same way, or none by as much as counts."""
    gains = _gains(runs)
    return min(gains) > 0 or max(gains) < 0 or max(map(abs, gains)) < NOTHING_LEARNT


def _where_held(runs: Sequence[Run], kinds: Sequence[str]) -> str:
    """Each kind with the layers that it was found at."""
    return "; ".join(f"{kind} at {_list(_holding(runs, kind))}" for kind in kinds)


def _holding(runs: Sequence[Run], kind: str) -> list[str]:
    return list(
        dict.fromkeys(layer for run in runs for layer, found in run.diagnosis["verdicts"].items() if kind in found)
    )


def evidence(results: Results) -> list[Evidence]:
    return [
        Evidence(name, badges(runs), [*_diagnosed(runs), *_learning(runs), *_beside_twin(runs)], _layers(runs))
        for name, runs in results.regimes.items()
    ]


def _diagnosed(runs: Sequence[Run]) -> list[str]:
    """Each kind of the verdict: how badly, where, since when, by what evidence; or that none was found."""
    kinds = list(dict.fromkeys(kind for run in runs for kind in run.diagnosis["verdict"]))
    if not kinds:
        return [_first(runs, str(runs[0].diagnosis["sentence"]))]
    return [sentence for kind in kinds for sentence in _kind(runs, kind)]


def _kind(runs: Sequence[Run], kind: str) -> list[str]:
    held = [run for run in runs if kind in run.diagnosis["verdict"]]
    layer, finding = max(
        (
            (layer, found[kind])
            for layer, found in held[0].diagnosis["kinds"].items()
            if kind in held[0].diagnosis["verdicts"][layer]
            and layer in read_at(kind, held[0].representation, held[0].layers[1:])
        ),
        key=lambda pair: float(pair[1]["severity"]),
    )
    severities = [_severity(run.diagnosis["kinds"].get(layer, {}).get(kind)) for run in runs]
    steps = sorted({step for run in held for step in onsets(run, kind)})
    since = f", from step {_list([str(step) for step in steps])} on" if steps else ""
    sentences = [
        f"{kind[:1].upper()}{kind[1:]} at {layer}: severity {_list(severities)}{since}.",
        _first(runs, f"{finding['evidence'][:1].upper()}{finding['evidence'][1:]}.", held[0].seed),
    ]
    more = [
        f"{title}: {finding[key]}."
        for title, key in (("Likely cause", "cause"), ("What to try", "remedy"))
        if finding.get(key)
    ]
    return sentences + more


def _severity(finding: dict[str, Any] | None) -> str:
    """ "1.00 (0.65 to 1.00)", with the interval over images."""
    if finding is None:
        return "undetermined"
    interval = finding.get("interval")
    return f"{finding['severity']:.2f}" + (f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else "")


def _first(runs: Sequence[Run], sentence: str, seed: int | None = None) -> str:
    """A sentence about one seed says so where there are several."""
    return sentence if len(runs) == 1 else f"Seed {runs[0].seed if seed is None else seed}: {sentence}"


def _learning(runs: Sequence[Run]) -> list[str]:
    """One sentence; none where the images carry no labels."""
    points = gain(runs)
    if math.isnan(points):
        return []
    if not seeds_agree(runs):
        return [f"k-NN changed by {_list([signed(change) for change in _gains(runs)])} points: the seeds disagree."]
    before, after = (percent(mean(run.score("knn", when) for run in runs)) for when in ("initial", "final"))
    if abs(points) < NOTHING_LEARNT:
        return [f"k-NN {before} at initialisation, {after} at the end: learnt nothing that k-NN can see."]
    if points < 0:
        return [f"k-NN fell from {before} at initialisation to {after}: worse than a random network."]
    return [f"k-NN rose from {before} at initialisation to {after}."]


def _beside_twin(runs: Sequence[Run]) -> list[str]:
    """When validation k-NN fell behind the same regime with its guard on, where the study has that."""
    twin = runs[0].diagnosis["twin"]
    if not twin or not runs[0].knn["curve"]:
        return []
    words = dict.fromkeys(_first(runs, str(run.diagnosis["fall_words"]), run.seed) for run in runs)
    return [f"Beside {twin}, its guard-on twin: {'; '.join(words)}."]


def _layers(runs: Sequence[Run]) -> str:
    """Verdicts by layer, where any layer has one: a collapsed embedding over a healthy representation is a finding."""
    kinds: dict[str, list[str]] = {}
    for run in runs:
        for layer, found in run.diagnosis["verdicts"].items():
            kinds[layer] = list(dict.fromkeys([*kinds.get(layer, []), *found]))
    if not any(kinds.values()):
        return ""
    return "; ".join(f"{layer}: {', '.join(found) or 'none found'}" for layer, found in kinds.items())


def limits(results: Results) -> list[str]:
    sentences = []
    tokens = [
        name
        for name, runs in results.regimes.items()
        if runs[0].config["backbone"]["architecture"] == "vit" and gain(runs) < NOTHING_LEARNT
    ]
    if tokens:
        sentences.append(
            "A vision transformer this small learns nothing useful in so few steps. Of "
            f"{_list(tokens)} only which collapse comes, and which is prevented, can be read: not the method's quality."
        )
    seeds = min(len(runs) for runs in results.regimes.values())
    sentences.append(
        f"With {_count(seeds, 'seed')} a difference smaller than the spread between seeds says nothing."
        if seeds > 1
        else "With one seed there is no spread: small differences say nothing."
    )
    sentences.append(
        f"Runs of {step_range([run.config for run in results.runs])} steps on images of {results.manifest['size']} pixels "
        "a side show mechanisms, not how the methods rank at full size."
    )
    return sentences


def kinds() -> dict[str, str]:
    """Each kind's page in short: what it is and how it is measured."""
    return {name: f"{kind.what} {kind.measured}" for name, kind in load_kinds().items()}


def at_the_loss() -> str:
    """The kinds that make the headline at a layer of the loss, in words."""
    return _list(AT_THE_LOSS)


def grids(results: Results) -> list[dict[str, Any]]:
    """The previews with their captions."""
    return [
        grid | {"caption": _grid_caption(grid), "name": "preview-" + grid["file"].removesuffix(".png")}
        for grid in results.previews
    ]


def _grid_caption(grid: dict[str, Any]) -> str:
    branches: dict[str, list[str]] = {}
    for entry in grid["seen_by"]:
        branches.setdefault(entry["branch"], []).append(entry["regime"])
    seen = "; ".join(f"{_list(regimes)} (as {branch})" for branch, regimes in branches.items())
    what = PREVIEWS[grid["kind"]]
    return f"{what} Seen by {seen}."


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names)
