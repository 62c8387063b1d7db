"""How often verdicts are right: every kind, where it holds by construction and where it does not.

python -m bench.calibration            families x sizes x seeds and networks; writes docs/calibration.md and .json
python -m bench.calibration --fast     a few of them, nothing is written
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.calibration_report import write
from bench.families import HUGE, LARGE, MEDIUM, SMALL, Family, Size, load_families
from bench.networks import Case, foreign, trained, untrained
from threadpoolctl import threadpool_limits

from collapselab.collapse.judge import Judged, holding, judge
from collapselab.collapse.kind import KINDS, load_kinds
from collapselab.collapse.registry import Value, compute_all
from collapselab.console import progress

RIGHT = 0.97  # of the cases where a kind holds, and of those where it does not
FALSE = 0.01  # of healthy cases: how many may have any kind named
FAST: tuple[Size, ...] = ((256, 16), (256, 64), (512, 128), (1000, 64))


@dataclass(frozen=True)
class Plan:
    """Seeds for each size.

    Attributes:
        common: seeds for sizes that most families take; huge: for the largest, which some take.
        own: seeds for sizes of families that have their own, of which every `step`-th is taken.
        first: the first seed.
    """

    common: Mapping[tuple[Size, ...], int]
    own: int
    huge: int
    step: int = 1
    first: int = 0


FULL_PLAN = Plan({SMALL: 8, MEDIUM: 2, LARGE: 1}, own=6, huge=1, first=2000)  # draws that no threshold was set on
FAST_PLAN = Plan({FAST: 2}, own=2, huge=0, step=2)


@dataclass(frozen=True)
class Trial:
    """One layer, what is expected there, and what was named.

    Attributes:
        family, group: the family and its file, or the network and `networks`.
        severities: of every kind that could be judged.
        metrics: of every kind that is wrong, the values that it read.
        missing: what kinds that hold, but could not be judged, ask for.
    """

    family: str
    group: str
    n: int
    d: int
    seed: int
    holds: tuple[str, ...]
    open: tuple[str, ...]
    named: tuple[str, ...]
    about: Mapping[str, float | str] = field(default_factory=dict)
    severities: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, Value] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def healthy(self) -> bool:
        """No kind holds: any that is named and not open is a false alarm."""
        return not self.holds

    @property
    def missed(self) -> list[str]:
        return [kind for kind in self.holds if kind not in self.named]

    @property
    def false(self) -> list[str]:
        return [kind for kind in self.named if kind not in self.holds and kind not in self.open]


def families(plan: Plan) -> list[tuple[Family, int, int, int]]:
    """(family, n, d, seed) of every trial of a plan."""
    found = []
    for family in load_families().values():
        sizes = [(size, seeds) for group, seeds in plan.common.items() for size in group]
        if family.sizes is not None:
            sizes = [(size, plan.own) for size in family.sizes[:: plan.step]]
        elif family.huge:
            sizes += [(size, plan.huge) for size in HUGE]
        for (n, d), seeds in sizes:
            if family.fits(n, d):
                found += [(family, n, d, seed) for seed in range(plan.first, plan.first + seeds)]
    return found


def tried(family: Family, n: int, d: int, seed: int) -> Trial:
    drawn = family.draw(seed, n, d)
    case = Case(family.name, seed, drawn, family.holds, {**family.open, **drawn.open})
    return judged(case, family.group)


def judged(case: Case, group: str) -> Trial:
    """A case's verdict as `diagnose` gives it, from those metrics alone that kinds read."""
    evidence, start = case.drawn.evidence, case.drawn.start
    values = compute_all(evidence, _reads())
    found = judge(evidence, start, values=values)
    named = tuple(holding(found.findings))
    wrong = {*case.holds} - {*named} | {*named} - {*case.holds} - {*case.open}
    read = sorted({metric for kind in wrong for metric in load_kinds()[kind].reads})
    return Trial(
        family=case.name,
        group=group,
        n=len(evidence.sample),
        d=evidence.sample.shape[1],
        seed=case.seed,
        holds=case.holds,
        open=tuple(kind for kind in KINDS if kind in case.open and kind not in case.holds),
        named=named,
        about=case.drawn.about,
        severities={kind: finding.severity for kind, finding in found.findings.items()},
        metrics={metric: values.get(metric) for metric in read},
        missing=_missing(found, wrong),
    )


def _missing(found: Judged, wrong: set[str]) -> dict[str, str]:
    return {kind: found.missing[kind] for kind in KINDS if kind in wrong and kind in found.missing}


def _reads() -> list[str]:
    return sorted({metric for kind in load_kinds().values() for metric in kind.reads})


def run(plan: Plan, roots: Sequence[Path] = (), *, networks: bool = False) -> list[Trial]:
    """Every trial of the plan, and the networks where they are asked for."""
    trials, work = [], families(plan)
    with threadpool_limits(1), progress("calibration") as advance:
        for done, (family, n, d, seed) in enumerate(work, 1):
            trials.append(tried(family, n, d, seed))
            advance(done, len(work))
        for group, cases in _networks(roots) if networks else ():
            trials += [judged(case, group) for case in cases]
    return trials


def _networks(roots: Sequence[Path]) -> Iterator[tuple[str, Iterable[Case]]]:
    yield "foreign", foreign((0, 1))
    yield "untrained", untrained((0, 1))
    yield "trained", trained(roots)


@dataclass(frozen=True)
class Score:
    """A kind's counts: where it holds and was named, where it does not hold and was not named."""

    holds: int
    named: int
    without: int
    spared: int

    @property
    def recall(self) -> float | None:
        return self.named / self.holds if self.holds else None

    @property
    def specificity(self) -> float | None:
        return self.spared / self.without if self.without else None


def score(trials: Iterable[Trial], kind: str) -> Score:
    held = [trial for trial in trials if kind in trial.holds]
    without = [trial for trial in trials if kind not in trial.holds and kind not in trial.open]
    return Score(
        holds=len(held),
        named=sum(kind in trial.named for trial in held),
        without=len(without),
        spared=sum(kind not in trial.named for trial in without),
    )


def scores(trials: Sequence[Trial]) -> dict[str, Score]:
    return {kind: score(trials, kind) for kind in KINDS}


def alarms(trials: Iterable[Trial]) -> tuple[int, int]:
    """(false alarms, healthy cases)."""
    healthy = [trial for trial in trials if trial.healthy]
    return sum(bool(trial.false) for trial in healthy), len(healthy)


def short(trials: Sequence[Trial]) -> list[str]:
    """What falls short of the targets, in sentences."""
    found = []
    for kind, got in scores(trials).items():
        if got.recall is not None and got.recall < RIGHT:
            found.append(f"{kind}: named in {got.named} of {got.holds} cases where it holds")
        if got.specificity is not None and got.specificity < RIGHT:
            found.append(f"{kind}: not named in {got.spared} of {got.without} cases where it does not hold")
    false, healthy = alarms(trials)
    if healthy and false / healthy >= FALSE:
        found.append(f"{false} false alarms in {healthy} healthy cases")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--fast", action="store_true", help="a few sizes and seeds, no networks; nothing is written")
    parser.add_argument("--first-seed", type=int, default=FULL_PLAN.first, help="of the families' draws")
    parser.add_argument("--root", type=Path, action="append", help="folder with runs/ of trained studies (here)")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of calibration.md and calibration.json")
    given = parser.parse_args(arguments)
    if given.fast:
        trials = run(FAST_PLAN)
    else:
        roots = given.root or [Path()]
        if next(trained(roots), None) is None:
            print("nothing is run: no trained network under runs/; `make repro` trains some", file=sys.stderr)
            return 2
        trials = run(replace(FULL_PLAN, first=given.first_seed), roots, networks=True)
        write(given.out, trials, RIGHT, FALSE)
    false, healthy = alarms(trials)
    print(f"{len(trials)} cases; {false} false alarms in {healthy} healthy ones")
    for sentence in short(trials):
        print(sentence, file=sys.stderr)
    return 1 if short(trials) else 0


if __name__ == "__main__":
    sys.exit(main())
