"""When a collapse began, and how long before the harm a metric said so."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from collapselab.collapse.thresholds import VERDICT_FROM

Z = 1.6448536269514722  # the normal quantile of a two-sided 90 % interval
# What must agree in both descriptions of a pair of twins, beside `config`; its seeds may differ, a pair shares one.
SHARED = ("backbone", "augmentation", "steps", "data", "normalisation", "snapshots")


@dataclass(frozen=True)
class Onset:
    """The first snapshot from which something holds to the end.

    `after` is the last snapshot at which it did not hold yet (None: it held at the first): between the two nobody looked.
    """

    step: int
    after: int | None


def onset(
    steps: Sequence[int] | NDArray[Any], severities: ArrayLike, verdict_from: float = VERDICT_FROM
) -> Onset | None:
    """When a kind set in: the first step from which its severity stays at `verdict_from` or above to the end.

    Args:
        steps: of the snapshots, ascending, [S].
        severities: [S], 0 to 1; NaN where the kind could not be judged, which neither makes nor ends an onset.

    Returns:
        None where the kind does not hold at the end, or could not be judged there.
    """
    values = np.asarray(severities, dtype=np.float64)
    if len(values) == 0 or np.isnan(values[-1]):
        return None
    known = ~np.isnan(values)
    return _to_the_end(np.asarray(steps)[known], values[known] >= verdict_from)


def onsets(
    steps: Sequence[int] | NDArray[Any], severities: Mapping[str, Mapping[str, ArrayLike]]
) -> dict[str, dict[str, Onset | None]]:
    """`onset` for layer -> kind -> severities [S]."""
    return {
        layer: {kind: onset(steps, values) for kind, values in kinds.items()} for layer, kinds in severities.items()
    }


def beyond_to_the_end(
    steps: Sequence[int] | NDArray[Any], values: Sequence[float | None], threshold: float, direction: str
) -> Onset | None:
    """The first step from which a metric stays beyond `threshold`: under it for "down", over it for "up".

    Undefined values (None, NaN) neither make nor end it. In hindsight only: an alarm as it would have been given in time is
    `alarms.alarm`.
    """
    found = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    known = ~np.isnan(found)
    beyond = found[known] < threshold if direction == "down" else found[known] > threshold
    return _to_the_end(np.asarray(steps)[known], beyond)


def _to_the_end(steps: NDArray[Any], holds: NDArray[np.bool_]) -> Onset | None:
    if len(holds) == 0 or not holds[-1]:
        return None
    misses = np.flatnonzero(~holds)
    if len(misses) == 0:
        return Onset(int(steps[0]), None)
    return Onset(int(steps[misses[-1] + 1]), int(steps[misses[-1]]))


def wilson(share: float, n: int, z: float = Z) -> tuple[float, float]:
    """Wilson's interval of a proportion `share` of n, at 90 % unless z says otherwise (Wilson 1927, JASA 22)."""
    middle, width = share + z**2 / (2 * n), z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, (middle - width) / (1 + z**2 / n)), min(1.0, (middle + width) / (1 + z**2 / n))


def difference(first: float, second: float, n: int, z: float = Z) -> tuple[float, float]:
    """90 % interval (unless z says otherwise) of first - second, two proportions of n queries each.

    Newcombe's hybrid of two Wilson intervals (Newcombe 1998, Statistics in Medicine 17, method 10). It takes the two for
    independent; twins are asked the same queries, so it is wider than it need be, never narrower, where they agree.
    """
    (low_1, high_1), (low_2, high_2) = wilson(first, n, z), wilson(second, n, z)
    gap = first - second
    return gap - math.hypot(first - low_1, high_2 - second), gap + math.hypot(high_1 - first, second - low_2)


@dataclass(frozen=True)
class Fall:
    """When validation k-NN fell behind the guard-on twin for good; `onset` is None where it never did, `words` say why."""

    onset: Onset | None
    words: str


def fall(own: Mapping[int, float], twin: Mapping[int, float], queries: int) -> Fall:
    """The first step from which k-NN stays below the twin's by more than the 90 % interval of their difference.

    Args:
        own, twin: step -> accuracy on the same validation queries, 0 to 1, of two runs of one seed; common steps are compared.
        queries: how many images were asked about.
    """
    steps = sorted(set(own) & set(twin))
    if not own and not twin:
        return Fall(None, "k-NN was not measured, for want of labels")
    if not steps:
        return Fall(None, "k-NN of the run and of its twin were taken at no common step")
    below = np.array([difference(own[step], twin[step], queries)[1] < 0 for step in steps])
    found = _to_the_end(np.array(steps), below)
    last = steps[-1]
    gap = f"{own[last]:.3f} against {twin[last]:.3f} at step {last}"
    if found:
        only = ", seen at the last snapshot alone" if found.step == last else ""
        return Fall(found, f"validation k-NN stays below its twin's from step {found.step} ({gap}){only}")
    if below.any():
        return Fall(None, f"validation k-NN fell below its twin's and came back ({gap}, {queries} queries)")
    return Fall(
        None, f"validation k-NN never fell below its twin's by more than the interval ({gap}, {queries} queries)"
    )


@dataclass(frozen=True)
class Lead:
    """Steps from a metric's alarm to the fall of k-NN: negative where the alarm came after it, None where one is missing.

    `at_least`: what is certain of it, since k-NN was last seen unharmed at the snapshot before its fall.
    """

    steps: int | None
    at_least: int | None
    words: str


def lead_time(alarm: int | None, fallen: Fall) -> Lead:
    """How long before the harm the alarm was given."""
    harm = fallen.onset
    if alarm is None and harm is None:
        return Lead(None, None, f"no alarm; {fallen.words}")
    if alarm is None:
        return Lead(None, None, f"no alarm, though {fallen.words}")
    if harm is None:
        return Lead(None, None, f"alarm at step {alarm}, but {fallen.words}: a collapsed run's k-NN need not fall")
    steps, certain = harm.step - alarm, None if harm.after is None else harm.after - alarm
    told = f"{steps} steps before" if steps > 0 else f"{-steps} steps after" if steps < 0 else "at the same snapshot as"
    return Lead(steps, certain, f"alarm at step {alarm}, {told} the harm: {fallen.words}")


@dataclass(frozen=True)
class Twin:
    """The regime that has the same configuration but for guards: `guards` are on there and off here, by way of `keys`.

    `still_off`: guards that are off in both.
    """

    regime: str
    guards: tuple[str, ...]
    keys: tuple[str, ...]
    still_off: tuple[str, ...]


def twins(descriptions: Mapping[str, Mapping[str, Any]]) -> dict[str, Twin]:
    """The guard-on twin of every regime that has one.

    A guard is switched by a parameter of its own. So where k guards differ and just k keys do, those keys are the guards'
    parameters and nothing else differs. Of several twins the one with the fewest guards off is taken, then the one that
    differs in the fewest keys, then the first.

    Args:
        descriptions: regime -> what a run's config.json holds, of any of its seeds, in the order of params.yaml.
    """
    return {regime: found for regime in descriptions if (found := _twin(regime, descriptions)) is not None}


def _twin(regime: str, descriptions: Mapping[str, Mapping[str, Any]]) -> Twin | None:
    return min(_candidates(regime, descriptions), key=lambda twin: (len(twin.still_off), len(twin.keys)), default=None)


def _candidates(regime: str, descriptions: Mapping[str, Mapping[str, Any]]) -> Iterator[Twin]:
    own = descriptions[regime]
    off = set(own["guards_off"])
    for name, other in descriptions.items():
        still = set(other["guards_off"])
        if not still < off or any(own.get(part) != other.get(part) for part in SHARED):
            continue
        keys = _differing(own["config"], other["config"])
        if len(keys) == len(off - still):
            yield Twin(name, tuple(sorted(off - still)), keys, tuple(sorted(still)))


def _differing(own: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, ...]:
    names = sorted((own.keys() | other.keys()) - {"seeds"})
    return tuple(name for name in names if own.get(name, ...) != other.get(name, ...))
