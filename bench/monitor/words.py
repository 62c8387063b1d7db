"""Sentences of docs/monitor.md, read off the runs: true whatever they gave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bench.monitor.runs import Watched

from collapselab.collapse.timing.alarms import MARGIN
from collapselab.collapse.timing.onset import Fall, lead_time

Limits = Mapping[tuple[int, int], dict[str, float]]  # (seed, steps between readings) -> kind -> limit
Falls = Mapping[tuple[str, int], Fall]  # (collapsed regime, seed) -> the fall of its k-NN behind its twin's


def higher_limits(limits: Limits) -> str:
    """Which limits above the declared ones were in force."""
    raised = [
        f"{kind} {value:.2f} (seed {seed}, read every {every} steps)"
        for (seed, every), of in limits.items()
        for kind, value in of.items()
        if value > 1
    ]
    if raised:
        return f"Higher limits in force: {'; '.join(raised)}."
    if not any(limits.values()):
        return "There are no other seeds here: the declared limits judged every run."
    return f"No higher limit was in force: {MARGIN} times the largest healthy pressure is nowhere above 1."


def early(ill: Sequence[Watched], well: Sequence[Watched], falls: Falls, limits: Limits, often: Iterable[int]) -> str:
    """How many collapsed runs were named before k-NN fell, and how many healthy ones falsely."""
    lines, before, fell = [], {}, sum(falls[run.regime, run.seed].onset is not None for run in ill)
    for every in often:
        first = {(run.regime, run.seed): first_warning(run, every, limits) for run in ill}
        told, before[every] = _told(first, falls)
        false = [len(run.detect(every, limits[run.seed, every])[0]) for run in well]
        wrong = f"False alarms: {sum(false)}, in {sum(map(bool, false))} of {len(well)} healthy runs."
        lines.append(f"- Read every {every} steps: {told} {wrong}")
    return "\n".join([_verdict(before, fell), "", *lines])


def first_warning(run: Watched, every: int, limits: Limits) -> int | None:
    """Its step."""
    alarms, _ = run.detect(every, limits[run.seed, every])
    return alarms[0][1].step if alarms else None


def _told(first: Mapping[tuple[str, int], int | None], falls: Falls) -> tuple[str, int]:
    """What became of the collapsed runs, and how many of them were named before k-NN fell."""
    named = sum(step is not None for step in first.values())
    fell = [lead_time(step, falls[cell]) for cell, step in first.items() if falls[cell].onset]
    leads = [lead for lead in fell if lead.steps is not None]
    before = [lead for lead in leads if lead.steps is not None and lead.steps > 0]
    sure = sum(lead.at_least is not None and lead.at_least >= 0 for lead in before)
    certain = f" ({sure} of them for certain)" if before else ""
    calm = [step for cell, step in first.items() if not falls[cell].onset]
    told = [f"{named} of {len(first)} collapsed runs were named."]
    if fell:
        late, never = len(leads) - len(before), len(fell) - len(leads)
        told += [
            f"k-NN fell in {len(fell)}: {len(before)} named before it{certain}, {late} at that step or later, {never} not at all."
        ]
    if calm:
        told += [f"k-NN did not fall in {len(calm)}: {sum(step is not None for step in calm)} named."]
    return " ".join(told), len(before)


def _verdict(before: Mapping[int, int], fell: int) -> str:
    if not fell:
        return "k-NN fell in no collapsed run, so nothing here measures a lead."
    if not any(before.values()):
        return (
            "**No warning came ahead of a fall of k-NN.** What a warning gives instead is the kind and the layer, without labels, "
            "a twin or hindsight, all of which a fall of k-NN takes."
        )
    counts = "; ".join(f"{count} of {fell} read every {every} steps" for every, count in before.items())
    return f"Named before k-NN fell, of the runs in which it fell: {counts}."


def lengths(well: Sequence[Watched]) -> str:
    """How far the healthy runs were watched, and where a later false alarm could not be seen."""
    cut = [run for run in well if run.steps < run.total]
    told = f"{len(well) - len(cut)} of {len(well)} healthy runs were watched to their end."
    if not cut:
        return told
    where = {(run.regime, run.steps, run.total): sorted(r.seed for r in cut if r.regime == run.regime) for run in cut}
    listed = "; ".join(
        f"{regime}, seed {', '.join(map(str, seeds))}: {steps} of {total} steps"
        for (regime, steps, total), seeds in where.items()
    )
    return f"{told} The others were cut ({listed}): later false alarms are not tested there."
