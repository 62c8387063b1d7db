"""docs/calibration.md and docs/calibration.json from the trials of a calibration."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.families import FAMILIES

from collapselab.collapse.kind import KINDS
from collapselab.files import write_json, write_text

if TYPE_CHECKING:
    from bench.calibration import Score, Trial

NETWORKS = {"trained": "Trained", "untrained": "Untrained, torchvision", "foreign": "scikit-learn"}
NEAREST = 4  # families shown as the closest calls of a kind
SHOWN = 3  # wrong cases shown for each family and kind

INTRODUCTION = """# Calibration

How often a verdict is right. Every case is a layer of which it is known, by construction or by what was done to the network,
which kinds of collapse hold and which don't; kinds that could be argued for either way are left open, with the reason below, and
are not scored. Cases are diagnosed with the thresholds as declared, without intervals.

Thresholds were set with these families in view, on other draws; only the rule for images thrown out along a line was mended
after a look at the draws below (complete stood at 384 of 396 before). Networks hold few positives: for most kinds the
right-hand columns say only that nothing is named where nothing is wrong. Expect worse on features of a kind that is not here,
and add the family when you meet one.

`make calibrate` writes this page and `calibration.json`, which lists every wrong case with the metrics that its kind read.
Families are in `bench/families/`, networks and what is expected of them in `bench/networks.py`. Trained networks are read from
`runs/`, where `make repro` and `make repro STUDY=cifar10` leave them; other folders are named by `--root`.
"""


def write(folder: Path, trials: Sequence[Trial], right: float, false: float) -> None:
    """Both files, deterministic in the trials."""
    from bench.calibration import alarms, scores, short

    synthetic = [trial for trial in trials if trial.group not in NETWORKS]
    networks = [trial for trial in trials if trial.group in NETWORKS]
    parts = [INTRODUCTION, "## Scores\n", f"Targets: {right:.0%} right on each, false alarms under {false:.0%}.\n"]
    parts.append(_scores({"families": scores(synthetic), "networks": scores(networks)}))
    rows = [(name, *alarms(group)) for name, group in (("families", synthetic), ("networks", networks))]
    parts.append(
        "## False alarms\n\nHealthy cases (no kind holds) in which any kind was named that is not left open.\n"
    )
    parts.append(_table(("cases", "false alarms", "healthy", "rate"), [(n, f, h, _share(f, h)) for n, f, h in rows]))
    lacking = short(trials)
    parts.append("Short of the targets: " + "; ".join(lacking) + ".\n" if lacking else "All targets are met.\n")
    parts += [
        "## Closest calls\n",
        _closest(trials),
        "## Families\n",
        _families(synthetic),
        "## Networks\n",
        _networks(networks),
        "## Wrong\n",
        _wrong(trials),
    ]
    write_text(folder / "calibration.md", "\n".join(part.rstrip("\n") + "\n" for part in parts))
    write_json(folder / "calibration.json", _json(trials, right, false))


def _scores(groups: Mapping[str, Mapping[str, Score]]) -> str:
    header = [
        "kind",
        *(f"{group}: {what}" for group in groups for what in ("named where it holds", "not named where it doesn't")),
    ]
    rows = []
    for kind in KINDS:
        row: list[Any] = [kind]
        for group in groups.values():
            got = group[kind]
            row += [_of(got.named, got.holds), _of(got.spared, got.without)]
        rows.append(row)
    return _table(header, rows)


def _closest(trials: Sequence[Trial]) -> str:
    """How near to the verdict (severity .5) each kind comes on the wrong side of it, by family, the nearest first."""
    rows = []
    for kind in KINDS:
        without, held = defaultdict(float), defaultdict(lambda: 1.0)
        for trial in trials:
            severity = trial.severities.get(kind, 0.0)
            if kind in trial.holds:
                held[trial.family] = min(held[trial.family], severity)
            elif kind not in trial.open:
                without[trial.family] = max(without[trial.family], severity)
        high = sorted(((-severity, name) for name, severity in without.items() if severity >= 0.1))[:NEAREST]
        low = sorted((severity, name) for name, severity in held.items() if severity < 0.9)[:NEAREST]
        rows.append(
            (
                kind,
                ", ".join(f"{name} {-severity:.2f}" for severity, name in high) or "under .1",
                ", ".join(f"{name} {severity:.2f}" for severity, name in low) or "over .9",
            )
        )
    header = ("kind", "highest severity where it does not hold", "lowest where it holds")
    return "A verdict is given from .5.\n\n" + _table(header, rows)


def _families(trials: Sequence[Trial]) -> str:
    rows, reasons = [], []
    for name, group in _by_family(trials).items():
        family = FAMILIES[name]
        right = sum(not trial.missed and not trial.false for trial in group)
        rows.append((name, family.what, ", ".join(family.holds) or "none", _named(group), _of(right, len(group))))
        reasons += [f"- {name}, {kind}: {reason}" for kind, reason in _open(group, family.open).items()]
    table = _table(("family", "what", "holds", "named", "right"), rows)
    return f"{table}\nLeft open:\n\n" + "\n".join(reasons) + "\n"


def _open(trials: Sequence[Trial], own: Mapping[str, str]) -> dict[str, str]:
    """The family's own open kinds, and those that some draws leave open."""
    some = sorted({kind for trial in trials for kind in trial.open} - set(own))
    return dict(own) | {kind: "depends on what was drawn, see the family" for kind in some}


def _networks(trials: Sequence[Trial]) -> str:
    from bench.networks import RULES

    parts = []
    for group, title in NETWORKS.items():
        rows = []
        for name, cases in _by_family([trial for trial in trials if trial.group == group]).items():
            right = sum(not trial.missed and not trial.false for trial in cases)
            first = cases[0]
            rows.append(
                (name, ", ".join(first.holds) or "none", ", ".join(first.open), _named(cases), _of(right, len(cases)))
            )
        parts.append(f"### {title}\n\n" + _table(("network, layer, moment", "holds", "open", "named", "right"), rows))
    parts.append(
        "Moments: start (random initialisation alone), start-start (against itself: nothing learnt is not a collapse), other-start "
        "(against another seed's), on-the-way and end (against the start), train (all training images, against the start).\n"
    )
    reasons = [f"- {rule.regime}, {rule.layer}, {rule.moment}: {_why(rule.open)}" for rule in RULES if rule.open]
    parts.append("Left open, by regime, layer and moment (patterns):\n\n" + "\n".join(reasons) + "\n")
    return "\n".join(parts)


def _why(reasons: Mapping[str, str]) -> str:
    """Kinds of one reason together."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for kind, reason in reasons.items():
        kinds[reason].append(kind)
    whole = {reason: "every kind" if len(names) == len(KINDS) else ", ".join(names) for reason, names in kinds.items()}
    return "; ".join(f"{names} ({reason})" for reason, names in whole.items())


def _wrong(trials: Sequence[Trial]) -> str:
    groups: dict[tuple[str, str, str], list[Trial]] = defaultdict(list)
    for trial in trials:
        for kind in trial.missed:
            groups[trial.family, kind, "not named"].append(trial)
        for kind in trial.false:
            groups[trial.family, kind, "named"].append(trial)
    if not groups:
        return "Nothing.\n"
    rows = []
    for (family, kind, what), cases in sorted(groups.items()):
        sizes = ", ".join(f"{trial.n} x {trial.d} seed {trial.seed}" for trial in cases[:SHOWN])
        more = f" and {len(cases) - SHOWN} more" if len(cases) > SHOWN else ""
        rows.append((family, kind, what, len(cases), sizes + more))
    return _table(("family", "kind", "wrongly", "cases", "for example"), rows)


def _json(trials: Sequence[Trial], right: float, false: float) -> dict[str, Any]:
    from bench.calibration import alarms, scores

    def counts(group: Sequence[Trial]) -> dict[str, Any]:
        wrong, healthy = alarms(group)
        return {
            "kinds": {kind: vars(got) for kind, got in scores(group).items()},
            "false_alarms": wrong,
            "healthy": healthy,
        }

    return {
        "schema": 1,
        "targets": {"right": right, "false_alarms_under": false},
        "families": counts([trial for trial in trials if trial.group not in NETWORKS]),
        "networks": counts([trial for trial in trials if trial.group in NETWORKS]),
        "by_family": {name: _counts(group) for name, group in _by_family(trials).items()},
        "wrong": [_record(trial) for trial in trials if trial.missed or trial.false],
    }


def _counts(trials: Sequence[Trial]) -> dict[str, Any]:
    return {
        "cases": len(trials),
        "right": sum(not trial.missed and not trial.false for trial in trials),
        "named": {kind: count for kind in KINDS if (count := sum(kind in trial.named for trial in trials))},
    }


def _record(trial: Trial) -> dict[str, Any]:
    return {
        "family": trial.family,
        "n": trial.n,
        "d": trial.d,
        "seed": trial.seed,
        "drawn": _short(trial.about),
        "missed": trial.missed,
        "false": trial.false,
        "severities": _short({kind: trial.severities.get(kind) for kind in [*trial.missed, *trial.false]}),
        "metrics": _short(trial.metrics),
        "missing": dict(trial.missing),
    }


def _short(values: Mapping[str, Any]) -> dict[str, Any]:
    """Floats to four digits: more differ between machines."""
    return {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in values.items()}


def _by_family(trials: Iterable[Trial]) -> dict[str, list[Trial]]:
    found: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        found[trial.family].append(trial)
    return found


def _named(trials: Sequence[Trial]) -> str:
    counts = {kind: sum(kind in trial.named for trial in trials) for kind in KINDS}
    return ", ".join(f"{kind} {count}" for kind, count in counts.items() if count) or "none"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2%}" if whole else "-"


def _of(part: int, whole: int) -> str:
    return f"{_share(part, whole)} ({part} / {whole})" if whole else "-"


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    return "\n".join(lines + [f"| {' | '.join(str(cell).replace('|', ' ') for cell in row)} |" for row in rows]) + "\n"
