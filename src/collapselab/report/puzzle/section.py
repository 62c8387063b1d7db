"""The section on how outputs are taken: what each way hides and shows, the candidate causes, and puzzle.json.

The founding notebook drew the covariance spectrum of all token outputs, and saw nearly the same curve in regimes that behave
differently. Any study whose snapshots keep tokens has this section.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from collapselab.report.inputs import Results, Run
from collapselab.report.intervals import LEVEL
from collapselab.report.outputs import significant
from collapselab.report.puzzle.causes import STUDENT, Claim, judge
from collapselab.report.puzzle.effects import Interval, apart, between_seeds, moved, rank_factor
from collapselab.report.puzzle.onevector import OneVector
from collapselab.report.puzzle.taken import ALL, NOTEBOOK, PAPER, Index, Taken, Way
from collapselab.report.tables import Table, mean, percent, short

AS_DRAWN = "as the notebook drew it"
# How a taking differs from the notebook's -> the taking: one switch at a time, then several.
SWITCHES: dict[str, Way] = {
    "eval mode": NOTEBOOK._replace(mode="eval"),
    "the student's augmentation": NOTEBOOK._replace(view="drawn"),
    "less each position's mean": NOTEBOOK._replace(tokens="within"),
    "one fixed position": NOTEBOOK._replace(tokens="fixed"),
    "mean token": NOTEBOOK._replace(tokens="mean"),
    "probabilities": NOTEBOOK._replace(space="probabilities"),
    "eval mode and mean token": PAPER,
    "eval mode and probabilities": ALL._replace(space="probabilities"),
    "eval mode, mean token and probabilities": PAPER._replace(space="probabilities"),
}


@dataclass(frozen=True)
class Section:
    """What the page shows around its figures; tables have a sentence each."""

    opening: str
    claims: list[Claim]
    tables: list[tuple[str, Table]]


def section(results: Results, index: Index, vectors: Sequence[OneVector]) -> Section | None:
    """None where the study's snapshots keep no tokens."""
    if not index.regimes:
        return None
    tables = [_moved(index), _ranks(index), _beside(results, index)]
    return Section(_opening(index), judge(results, index, vectors), tables)


def entries(taken: Iterable[Taken]) -> list[dict[str, Any]]:
    """puzzle.json: every taking of both networks of every run, at initialisation (step 0) and at the end."""
    return [
        {
            "regime": one.regime,
            "network": one.network,
            "seed": one.seed,
            "step": one.step,
            **one.way._asdict(),
            "effective_rank": significant(one.effective_rank),
            "spectral_entropy_rank": significant(one.spectral_entropy_rank),
            "mean_share": significant(one.mean_share),
            "log_trace": significant(math.log(one.moments.trace)) if one.moments.trace > 0 else None,
            "entropy": significant(one.entropy),
            "marginal_entropy": significant(one.marginal_entropy),
            "vectors": one.moments.count,
        }
        for one in taken
    ]


def _opening(index: Index) -> str:
    hidden = ALL._replace(space="probabilities")
    drawn = {name: moved(index, name, STUDENT, NOTEBOOK, shape=True).mean for name in index.regimes}
    real = {name: moved(index, name, STUDENT, hidden).mean for name in index.regimes}
    chance = between_seeds(index, index.regimes[0], STUDENT, NOTEBOOK, shape=True)
    beside = "" if math.isnan(chance) else f" (two seeds' initialisations: {short(chance, 2)})"
    return (
        "One set of outputs, taken in different ways; distances between spectra are root mean squares over directions, in powers "
        "of ten. As the founding notebook drew them (all tokens, train mode, logits centred, each spectrum on axes of its own), "
        f"the students of the regimes lie {apart(index, STUDENT, NOTEBOOK, shape=True).words(2)} apart at the end{beside}, and "
        f"{_span(drawn)} from initialisation. With dropout off and on shared axes they lie "
        f"{apart(index, STUDENT, ALL).words(2)} apart; as probabilities, {apart(index, STUDENT, hidden).words(2)}, and "
        f"{_span(real)} from initialisation. The candidate causes, with {100 * LEVEL:g} % intervals over seeds:"
    )


def _span(values: dict[str, float]) -> str:
    """ "0.1 (frozen) to 2.3 (both)"."""
    low, high = (pick(values, key=lambda name: values[name]) for pick in (min, max))
    if short(values[low], 2) == short(values[high], 2):
        return f"{short(values[low], 2)} in every regime" if len(values) > 1 else short(values[low], 2)
    return f"{short(values[low], 2)} ({low}) to {short(values[high], 2)} ({high})"


# ---- tables: takings down, regimes across


def _moved(index: Index) -> tuple[str, Table]:
    def row(label: str, way: Way, *, shape: bool = False) -> list[str]:
        between = apart(index, STUDENT, way, shape=shape).words(2)
        return [label, between, *(moved(index, name, STUDENT, way, shape=shape).words(2) for name in index.regimes)]

    caption = (
        "How far the students' spectra lie apart at the end, the mean over pairs of regimes, and how far training moved each, in "
        "powers of ten, root mean square over directions. In the first row each spectrum is divided by its own largest eigenvalue; "
        "below, all lie on shared axes, taken as the notebook did but for what is named"
    )
    rows = [row(f"{AS_DRAWN}, axes of their own", NOTEBOOK, shape=True), row(f"{AS_DRAWN}, shared axes", NOTEBOOK)]
    return caption, Table(["taken", "apart", *index.regimes], rows + [row(*switch) for switch in SWITCHES.items()])


def _ranks(index: Index) -> tuple[str, Table]:
    def row(label: str, way: Way) -> list[str]:
        factors = [rank_factor(index, name, STUDENT, way, NOTEBOOK) for name in index.regimes]
        return [label, *(f"times {factor.words(2)}" if factor.seeds else factor.words() for factor in factors)]

    def plain(name: str, *, end: bool) -> str:
        return Interval.of(one.effective_rank for one in index.get(name, STUDENT, NOTEBOOK, end=end)).words()

    caption = (
        "Effective rank of the student's outputs at the end, as the notebook took them, and by how much each switch multiplies it "
        "(undefined: they differ by rounding alone)"
    )
    rows = [[f"{AS_DRAWN}, at initialisation", *(plain(name, end=False) for name in index.regimes)]]
    rows += [[AS_DRAWN, *(plain(name, end=True) for name in index.regimes)]]
    return caption, Table(["taken", *index.regimes], rows + [row(*switch) for switch in SWITCHES.items()])


def _beside(results: Results, index: Index) -> tuple[str, Table]:
    """Entropies, the mean's share, analysis of variance and k-NN."""

    def taken(value: Callable[[Taken], float], network: str) -> Callable[[str], str]:
        def cell(name: str) -> str:
            return _both(*(mean(map(value, index.get(name, network, ALL, end=end))) for end in (True, False)))

        return cell

    def share(what: str, network: str) -> Callable[[str], str]:
        def cell(name: str) -> str:
            where = (f"{network}.logits", f"token_{what}_share")
            runs = results.regimes[name]
            return _both(mean(run.last(*where) for run in runs), mean(run.first(*where) for run in runs))

        return cell

    measures: dict[str, Callable[[str], str]] = {}
    for network in index.networks:
        measures |= {
            f"{network}, E h(p)": taken(lambda one: one.entropy, network),
            f"{network}, h(mean p)": taken(lambda one: one.marginal_entropy, network),
            f"{network}, mean's share": taken(lambda one: one.mean_share, network),
        }
        for what in ("image", "position", "interaction"):
            measures[f"{network}, variance by {what}"] = share(what, network)
    if results.labelled:
        measures["k-NN"] = lambda name: _knn(results.regimes[name])
    rows = [[label, *(cell(name) for name in index.regimes)] for label, cell in measures.items()]
    caption = "Beside the spectra: all tokens' logits, in eval mode from clean images, at the end and in brackets at initialisation"
    return caption, Table(["measure", *index.regimes], rows)


def _both(end: float, start: float) -> str:
    return f"{short(end, 3)} ({short(start, 3)})"


def _knn(runs: Sequence[Run]) -> str:
    end, start = (mean(run.score("knn", when) for run in runs) for when in ("final", "initial"))
    return f"{percent(end)} ({percent(start)})"
