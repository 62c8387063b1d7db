"""docs/monitor.md, from what bench/monitor saw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from bench.detector.page import rate, table
from bench.monitor.cost import Cost, text
from bench.monitor.runs import COMPARED, Watched
from bench.monitor.words import Falls, Limits, early, first_warning, higher_limits, lengths

from collapselab.collapse.timing.alarms import MARGIN
from collapselab.collapse.timing.detector import RULES, Alarm
from collapselab.collapse.timing.onset import Fall, fall, lead_time

# The regimes of the default study that lost a guard, and the guard-on twins that its timeline finds for them.
PAIRS = {"simsiam-no-stop-gradient": "simsiam", "vicreg-no-variance": "vicreg", "notebook-both": "notebook-frozen"}

OFTEN = (10, 2)  # steps between readings: the monitor's default, and what a run of few steps needs

TEXT = """\
# The monitor's early warning

`CollapseMonitor` watches a layer from inside a training loop: train mode, augmented views, the batch as it is. This page is written
by `make monitor`: regimes of the default study (`studies/quick.yaml`) that lost a guard, for at most {steps} steps, and healthy
ones, their guard-on twins among them; {seeds} seeds, watched at the representation and where the loss acts, there normalised if the
loss compares cosines alone. Readings every {sparse} steps are the default; readings every {dense} are for runs of a hundred steps.

Kinds are named by the detector's declared limits, or by higher ones where healthy runs of the *other* seeds came within a
factor of {margin} of them: no run is judged by a limit that it helped to set. With {healthy} healthy runs no false-alarm rate below
{floor:.2g} a run can be quoted, whatever was seen. {higher}

## Collapsed regimes
k-NN is the representation's, eval mode, on validation images, against the twin of the same seed. It has fallen from the first
step from which it stays below by more than the 90 % interval of {queries} queries; it is asked every 10 steps, every 20 after 100.
Where the twin learns within tens of steps, its rise is the fall. Where k-NN never falls there is nothing to be early for: the twin
had not learnt more by then, or the collapsed network kept what a random one has. A lead is the steps from the first warning to
the fall, in brackets what is certain of it; negative: named after it.

{early}

{collapsed}
## Healthy runs
{lengths}

{false}
Largest pressure of each kind over all healthy runs, 1 being an alarm at the declared limits:

{pressures}
## What train mode changes
Median over healthy runs' steps of a metric in train mode over the same metric in eval mode on as many clean images. 1: no shift.

{modes}
The detector compares each layer with its own best so far in the same mode, so a constant shift moves no alarm. Severities of
`collapselab diagnose`, calibrated in eval mode, do not carry over by themselves.

## What it costs
{cost}"""


def page(runs: Sequence[Watched], queries: int, cost: Cost) -> str:
    limits: Limits = {
        (seed, every): limits_from([run for run in healthy(runs) if run.seed != seed], every)
        for seed in dict.fromkeys(run.seed for run in runs)
        for every in OFTEN
    }
    ill, well = [run for run in runs if run.regime in PAIRS], healthy(runs)
    falls = _falls(runs, queries)
    return TEXT.format(
        seeds=len({run.seed for run in runs}),
        steps=max(run.steps for run in ill),
        sparse=OFTEN[0],
        dense=OFTEN[1],
        margin=MARGIN,
        higher=higher_limits(limits),
        healthy=len(well),
        floor=1 / (len(well) + 1),
        queries=queries,
        early=early(ill, well, falls, limits, OFTEN),
        collapsed=_collapsed(ill, falls, limits),
        lengths=lengths(well),
        false=_false(well, limits),
        pressures=_pressures(well),
        modes=_modes(well),
        cost=text(cost),
    )


def healthy(runs: Iterable[Watched]) -> list[Watched]:
    return [run for run in runs if run.regime not in PAIRS]


def limits_from(calibration: Sequence[Watched], every: int) -> dict[str, float]:
    """Kind -> the pressure from which it is named: MARGIN times the largest of healthy runs, 1 at least."""
    pressures = [run.detect(every)[1] for run in calibration]
    kinds = {kind for pressure in pressures for kind in pressure}
    return {kind: max(1.0, MARGIN * max(p.get(kind, 0.0) for p in pressures)) for kind in sorted(kinds)}


def _falls(runs: Iterable[Watched], queries: int) -> dict[tuple[str, int], Fall]:
    cells = {(run.regime, run.seed): run for run in runs}
    return {
        (regime, seed): fall(run.knn, cells[PAIRS[regime], seed].knn, queries)
        for (regime, seed), run in cells.items()
        if regime in PAIRS
    }


def _collapsed(ill: Iterable[Watched], falls: Falls, limits: Limits) -> str:
    rows = []
    for run in ill:
        fallen, told = falls[run.regime, run.seed], []
        for every in OFTEN:
            alarms, _ = run.detect(every, limits[run.seed, every])
            told += [_named(alarms), _lead(first_warning(run, every, limits), fallen)]
        rows.append([run.regime, str(run.seed), _fell(fallen), *told])
    columns = [name for every in OFTEN for name in (f"named, read every {every} steps", "lead")]
    return table(["regime", "seed", "k-NN falls at step", *columns], rows)


def _named(alarms: Sequence[tuple[str, Alarm]]) -> str:
    return "; ".join(f"{alarm.step}: {alarm.kind} at {layer}" for layer, alarm in alarms) or "nothing"


def _fell(fallen: Fall) -> str:
    return str(fallen.onset.step) if fallen.onset else fallen.words.removeprefix("validation k-NN ")


def _lead(alarm: int | None, fallen: Fall) -> str:
    lead = lead_time(alarm, fallen)
    if lead.steps is None:
        return ""
    return f"{lead.steps}" + ("" if lead.at_least is None else f" ({lead.at_least})")


def _false(well: Sequence[Watched], limits: Limits) -> str:
    rows = []
    for every in OFTEN:
        for regime in [*dict.fromkeys(run.regime for run in well), ""]:
            chosen = [run for run in well if not regime or run.regime == regime]
            told = [(run, found) for run in chosen if (found := run.detect(every, limits[run.seed, every])[0])]
            steps, count = sum(run.steps for run in chosen), sum(len(found) for _, found in told)
            which = "; ".join(f"seed {run.seed}: {_named(found)}" for run, found in told) if regime else ""
            counted = [str(len(chosen)), str(steps), str(len(told)), rate(count, steps), which]
            rows.append([str(every), regime or "**all**", *counted])
    header = [
        "read every",
        "regime",
        "runs",
        "steps",
        "runs with a false alarm",
        "false alarms per thousand steps (90 %)",
    ]
    return table([*header, "which"], rows)


def _pressures(well: Sequence[Watched]) -> str:
    def largest(kind: str, every: int) -> str:
        value, run = max(((run.detect(every)[1].get(kind, 0.0), run) for run in well), key=lambda pair: pair[0])
        return f"{value:.2f}" + (f" ({run.regime}, seed {run.seed})" if value > 0 else "")

    kinds = dict.fromkeys(rule.kind for rule in RULES if not rule.kind.startswith("token"))
    return table(
        ["kind", *(f"read every {every} steps" for every in OFTEN)],
        ([kind, *(largest(kind, every) for every in OFTEN)] for kind in kinds),
    )


def _modes(well: Sequence[Watched]) -> str:
    rows = []
    for regime in dict.fromkeys(run.regime for run in well):
        runs = [run for run in well if run.regime == regime]
        for layer in runs[0].modes:
            shifts = []
            for metric in COMPARED:
                pairs = [pair for run in runs for pair in run.modes[layer].get(metric, []) if pair[1] > 0]
                shifts.append(f"{np.nanmedian([train / own for train, own in pairs]):.2f}" if pairs else "")
            rows.append([regime, layer, *shifts])
    return table(["regime", "layer", *COMPARED], rows)
