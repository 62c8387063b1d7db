"""Four reasons why spectra of token outputs can look alike while the networks differ, each judged from what snapshots hold.

1. Collapse moves the mean along one logit, which centring deletes; the saturated softmax then passes no gradient, and the other
   logits keep the covariance that they began with.
2. Dropout, in train mode, gives every direction variance.
3. Pooling tokens over positions adds the variance of the positions.
4. The figure that was to be drawn shows another method: one normalised vector an image, from a contrastive network's projector.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from collapselab.report.inputs import Results, Run
from collapselab.report.puzzle.effects import Interval, Shift, rank_factor, ratio, shifts
from collapselab.report.puzzle.onevector import OneVector
from collapselab.report.puzzle.taken import ALL, FLOOR, Index, Taken, Way
from collapselab.report.tables import mean

SATURATED = 0.05  # of ln K: a softmax whose entropy is below it says one class for everything
ALONG = 0.5  # share of a shift from which it goes along one logit
KEPT = 1.25  # a rank or a variance within this factor is kept
LIKE = 0.9  # cosine of two covariances from which they have one shape
SILENT = 1e-2  # of its early norm: a gradient below it trains nothing any more
DECAY = 0.9  # of the averages of gradients that snapshots hold (training.gradients)
DIGITS = 1e-5  # what these averages resolve
RAISED = 1.1  # a rank above this factor is raised
STUDENT = "student"


@dataclass(frozen=True)
class Claim:
    """One candidate cause: whether it holds, and the numbers."""

    title: str
    verdict: str
    text: str


def judge(results: Results, index: Index, vectors: Sequence[OneVector]) -> list[Claim]:
    return [_shift(results, index), _dropout(index), _pooling(index), _method(index, vectors)]


def saturated(index: Index) -> list[str]:
    """Regimes whose student's softmax says one class for everything at the end."""

    def entropy(one: Taken) -> float:
        return one.entropy / math.log(len(one.moments.mean))

    return [name for name in index.regimes if mean(map(entropy, index.get(name, STUDENT, ALL))) < SATURATED]


# ---- 1


def _shift(results: Results, index: Index) -> Claim:
    title = "A shift of the mean, which centring deletes"
    names = saturated(index)
    if not names:
        return Claim(title, "does not arise", "No regime's softmax ends one-hot.")
    found = {name: shifts(index, name, STUDENT, ALL) for name in names}
    quiet = {name: ratio(*zip(*map(gradient_norms, results.regimes[name]), strict=True)) for name in names}

    def over(key: str) -> str:
        return _range(names, lambda name: ratio([getattr(one, key) for one in found[name]], [1.0] * len(found[name])))

    def share(*, end: bool) -> str:
        return _range(
            names,
            lambda name: Interval.of(one.mean_share for one in index.get(name, STUDENT, ALL, end=end)).within(0, 1),
        )

    text = (
        f"Where the softmax ends one-hot, the mean of the student's logits moved by {over('size')} times the spread of its tokens "
        f"at initialisation, a share of {over('along')} along one logit; the mean's share of the second moment went from "
        f"{share(end=False)} to {share(end=True)}. Of what centring leaves, the effective rank is {over('rank')} times that at "
        f"initialisation; the other logits have {over('variance')} times their variance, and their covariance lies at a cosine of "
        f"{over('likeness')} to what it was. The gradient's norm over the last steps is at most "
        f"{_range(names, lambda name: quiet[name])} times that over the first."
    )
    return Claim(title, _held([_parts(found[name], quiet[name]) for name in names]), text)


def _parts(found: Sequence[Shift], quiet: Interval) -> dict[str, bool]:
    """The parts of the claim -> whether each holds in one regime, on average over seeds."""
    return {
        "the shift goes along one logit": mean(one.along for one in found) >= ALONG,
        "what is left keeps its rank": kept(mean(one.rank for one in found)),
        "the other logits keep their covariance": kept(mean(one.variance for one in found))
        and mean(one.likeness for one in found) >= LIKE,
        "no gradient is left": quiet.mean <= SILENT,
    }


def kept(factor: float) -> bool:
    return 1 / KEPT <= factor <= KEPT


def _held(judged: Sequence[dict[str, bool]]) -> str:
    """What holds in every regime that was judged."""
    parts = {part: all(one[part] for one in judged) for part in judged[0]}
    held = [part for part, holds in parts.items() if holds]
    missed = [part for part, holds in parts.items() if not holds]
    if not held or not missed:
        return "does not hold" if missed else "holds"
    return f"holds in part ({'; '.join(held)}), not in full (not in every such regime: {'; '.join(missed)})"


def gradient_norms(run: Run) -> tuple[float, float]:
    """Root mean square of the whole gradient between the last two snapshots, and up to the first one after initialisation.

    A snapshot holds an average over all steps, each weighing DECAY times the next; the share of the one before is taken off. What
    its six digits can't resolve is not taken for zero.
    """
    series = list(run.gradients.values())
    steps, squares = series[0].steps, np.sum([one.values**2 for one in series], axis=0)
    sums = squares * (1 - DECAY**steps)
    old = DECAY ** (steps[-1] - steps[-2]) * sums[-2] if len(steps) > 1 else 0.0
    share = 1 - DECAY ** (steps[-1] - steps[-2]) if len(steps) > 1 else 1 - DECAY ** steps[-1]
    return float(np.sqrt(max(sums[-1] - old, DIGITS * old) / share)), float(np.sqrt(squares[0]))


# ---- 2


def _dropout(index: Index) -> Claim:
    def ways(tokens: str) -> list[Way]:
        return [ALL._replace(mode=mode, tokens=tokens) for mode in ("train", "eval")]

    def pooled(name: str) -> Interval:
        return rank_factor(index, name, STUDENT, *ways("pooled"))

    def one_vector(name: str) -> Interval:
        return rank_factor(index, name, STUDENT, *ways("mean"))

    def lifted(name: str) -> Interval:
        return ratio(*([_small(one) for one in index.get(name, STUDENT, way)] for way in ways("pooled")))

    def share(name: str) -> Interval:
        noisy, clean = (index.get(name, STUDENT, way) for way in ways("pooled"))
        found = Interval.of(1 - b.moments.trace / a.moments.trace for a, b in zip(noisy, clean, strict=True))
        return found.within(-math.inf, 1)

    def of(value: Callable[[str], Interval]) -> str:
        return _range(index.regimes, value)

    before = rank_factor(index, index.regimes[0], STUDENT, *ways("pooled"), end=False)
    text = (
        f"Train mode multiplies the effective rank of all tokens' logits by {before.words()} at initialisation, and at the end by "
        f"{of(pooled)}; that of mean tokens by {of(one_vector)}; the smaller half of all tokens' eigenvalues by {of(lifted)} "
        f"(what is below 1e{FLOOR:.0f} taken for it). Of the variance in train mode, {of(share)} is not there in eval mode."
    )
    return Claim("Dropout, in train mode", _raised(index, pooled), text)


def _small(taken: Taken) -> float:
    """Geometric mean of the smaller half of the eigenvalues, down to FLOOR."""
    values = taken.eigenvalues[len(taken.eigenvalues) // 2 :]
    return float(np.exp(np.log(np.maximum(values, 10.0**FLOOR)).mean()))


# ---- 3


def _pooling(index: Index) -> Claim:
    def over(tokens: str) -> Callable[[str], Interval]:
        return lambda name: rank_factor(index, name, STUDENT, ALL, ALL._replace(tokens=tokens))

    def share(name: str, *, end: bool = True) -> Interval:
        ways = (ALL._replace(tokens="within"), ALL)
        around, whole = (index.get(name, STUDENT, way, end=end) for way in ways)
        return Interval.of(1 - a.moments.trace / b.moments.trace for a, b in zip(around, whole, strict=True)).within(
            0, 1
        )

    def of(value: Callable[[str], Interval]) -> str:
        return _range(index.regimes, value)

    text = (
        f"In eval mode, position explains {share(index.regimes[0], end=False).words(2)} of the variance of all tokens' logits at "
        f"initialisation, and {of(share)} at the end. Pooling multiplies the effective rank of the same tokens less the mean of "
        f"their position by {of(over('within'))}, and that of one fixed position by {of(over('fixed'))}."
    )
    return Claim("Pooling, which adds what position explains", _raised(index, over("within")), text)


def _raised(index: Index, factor: Callable[[str], Interval]) -> str:
    """Where the whole interval lies above RAISED."""
    much = f"the rank by more than {100 * (RAISED - 1):.0f} %"
    raised = [name for name in index.regimes if factor(name).low > RAISED]
    if len(raised) == len(index.regimes):
        return f"holds: it raises {much} in every regime"
    if raised:
        return f"holds in part: it raises {much} in {', '.join(raised)} alone"
    return f"does not hold: it raises {much} nowhere"


def _range(names: Sequence[str], value: Callable[[str], Interval]) -> str:
    """ "1.2 (1.1 to 1.3; both) to 2.5 (2.3 to 2.7; copy)": the smallest and the largest, or what all have in common."""
    found = {name: value(name) for name in names}
    defined = [name for name, interval in found.items() if not math.isnan(interval.mean)]
    if not defined:
        return "an undefined factor"
    if len({found[name].words() for name in defined}) == 1:
        return found[defined[0]].words()
    ends = [pick(defined, key=lambda name: found[name].mean) for pick in (min, max)]
    return " to ".join(found[name].words(of=name) for name in dict.fromkeys(ends))


# ---- 4


def _method(index: Index, vectors: Sequence[OneVector]) -> Claim:
    title = "Another method, another figure"
    others = list(dict.fromkeys(one.regime for one in vectors if one.layer == "embedding"))
    if not others:
        return Claim(title, "not judged", "The study has no network with an embedding to set beside these.")

    def found(name: str, layer: str, *, end: bool) -> list[OneVector]:
        return [one for one in vectors if (one.regime, one.layer, one.end) == (name, layer, end)]

    def made(name: str, layer: str) -> bool:
        """Whether training made a drop, in every seed."""
        before, after = (found(name, layer, end=end) for end in (False, True))
        return all(one.drops for one in after) and not all(one.drops for one in before)

    logits = f"{STUDENT}.logits"
    told = ["One normalised vector an image, in eval mode."]
    for name in others:
        for layer in ("embedding", "representation"):
            before, after = (_directions(found(name, layer, end=end)) for end in (False, True))
            told.append(f"{name}, {layer}: {after}; at initialisation {before}.")
    first = found(index.regimes[0], logits, end=False)
    rank = _range(index.regimes, lambda name: Interval.of(one.effective_rank for one in found(name, logits, end=True)))
    live = _range(index.regimes, lambda name: _live(found(name, logits, end=True)))
    told.append(
        f"The token regimes' logits: {live} of {first[0].ceiling} directions before a drop (all of them: no drop), effective rank "
        f"{rank}; at initialisation {_directions(first)}."
    )
    embedded, tokens = (
        [name for name in names if made(name, layer)]
        for names, layer in ((others, "embedding"), (index.regimes, logits))
    )
    return Claim(title, _whose(embedded, tokens), " ".join(told))


def _whose(embedded: Sequence[str], tokens: Sequence[str]) -> str:
    """Which networks' training made a drop, each by name."""
    beside = f"in the logits of {', '.join(tokens)}" if tokens else "in no token regime's logits"
    if not embedded:
        return f"does not hold: training made a drop in no embedding, and {beside}"
    where = f"training made a drop in the embedding of {', '.join(embedded)}"
    return f"holds in part: {where}, but also {beside}" if tokens else f"holds: {where}, and {beside}"


def _directions(found: Sequence[OneVector]) -> str:
    where = (
        f"{_live(found).words()} of {found[0].ceiling} directions before a drop"
        if any(one.drops for one in found)
        else "no drop"
    )
    return f"{where}, effective rank {Interval.of(one.effective_rank for one in found).words()}"


def _live(found: Sequence[OneVector]) -> Interval:
    """Directions before a drop."""
    return Interval.of(one.live for one in found).within(0, found[0].ceiling)
