"""The verdict table: each regime's headline beside its accuracies, and what they must be compared with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from collapselab.collapse.kind import read_at
from collapselab.report.inputs import Results, Run
from collapselab.report.tables import NONE, PIXELS, by_backbone, gain, mean, percent, short, signed


@dataclass(frozen=True)
class Badge:
    """A kind of collapse, and in how many of the seeds it was found (empty: in all)."""

    kind: str
    share: str = ""


@dataclass(frozen=True)
class Row:
    """A row of the verdict table; `badges` None where a verdict does not apply, empty where the regime is healthy.

    `elsewhere` names what was found at layers that the headline isn't taken from.
    """

    name: str
    reference: bool
    switched_off: str
    badges: tuple[Badge, ...] | None
    knn: str
    elsewhere: str = ""
    onset: str = ""
    spread: str = ""
    knn_initial: str = NONE
    change: str = NONE
    linear: str = NONE
    loss: str = NONE
    std: str = NONE


def verdict_table(results: Results) -> list[Row]:
    """The regimes as params.yaml orders them, then what they must be compared with: initialisation and raw pixels."""
    rows = [_regime_row(name, runs) for name, runs in results.regimes.items()]
    rows += [_initial_row(backbone, runs) for backbone, runs in by_backbone(results).items()]
    pixels = results.pixels
    return [*rows, Row(PIXELS, True, "", None, percent(pixels["knn"]), linear=percent(pixels["linear"]))]


def _regime_row(name: str, runs: Sequence[Run]) -> Row:
    knn = [run.score("knn", "final") for run in runs]
    off = [str(guard) for guard in runs[0].config["guards_off"]]
    return Row(
        name=name,
        reference=False,
        switched_off=", ".join(off) or ("trained with labels" if runs[0].config["supervised"] else NONE),
        badges=badges(runs),
        elsewhere=_elsewhere(runs),
        onset=_onset(runs),
        knn=percent(mean(knn)),
        spread=f"{100 * min(knn):.1f} to {100 * max(knn):.1f}" if len(knn) > 1 else "",
        knn_initial=percent(mean(run.score("knn", "initial") for run in runs)),
        change=signed(gain(runs)),
        linear=percent(mean(run.score("linear", "final") for run in runs)),
        loss=short(mean(float(run.history["loss"][-1]) for run in runs)),
        std=short(mean(final_std(run) for run in runs)),
    )


def _elsewhere(runs: Sequence[Run]) -> str:
    """Kinds that hold at some layer and don't make the headline there: "dimensional at embedding (2 of 3 seeds)"."""
    found = Counter(
        (kind, layer)
        for run in runs
        for layer, kinds in run.diagnosis["verdicts"].items()
        for kind in kinds
        if kind not in run.diagnosis["verdict"]
    )
    layers: dict[str, list[str]] = {}
    for (kind, layer), count in found.items():
        share = _share(count, runs)
        layers.setdefault(kind, []).append(f"{layer} ({share})" if share else layer)
    return "; ".join(f"{kind} at {', '.join(where)}" for kind, where in layers.items())


def _share(count: int, runs: Sequence[Run]) -> str:
    """Nothing where all seeds show it."""
    return "" if count == len(runs) else f"{count} of {len(runs)} seeds"


def _onset(runs: Sequence[Run]) -> str:
    """The first step from which any kind of the verdict held to the end, seed by seed where they differ."""
    steps = [
        min(found) for run in runs if (found := [at for kind in run.diagnosis["verdict"] for at in onsets(run, kind)])
    ]
    return " or ".join(str(step) for step in dict.fromkeys(steps))


def onsets(run: Run, kind: str) -> list[int]:
    """Steps at which a kind set in for good, one for each layer that the verdict is read from."""
    read = read_at(kind, run.representation, run.layers[1:])
    return [
        int(kinds[kind]["step"]) for layer, kinds in run.diagnosis["onset"].items() if kind in kinds and layer in read
    ]


def _initial_row(backbone: str, runs: Sequence[Run]) -> Row:
    """One random network is another's baseline only where the architecture is the same."""
    knn, linear = (mean(run.score(table, "initial") for run in runs) for table in ("knn", "linear"))
    return Row(f"random initialisation, {backbone}", True, "", None, percent(knn), linear=percent(linear))


def badges(runs: Sequence[Run]) -> tuple[Badge, ...]:
    found = [kind for run in runs for kind in run.diagnosis["verdict"]]
    return tuple(Badge(kind, _share(found.count(kind), runs)) for kind in dict.fromkeys(found))


def final_std(run: Run) -> float:
    """Normalised std at the end, at the first layer that the loss acts on."""
    return run.last(str(run.config["loss_layers"][0]), "normalised_std")
