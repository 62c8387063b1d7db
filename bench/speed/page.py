"""docs/speed.md and docs/speed.json from what was measured, and one benchmark's lines for a terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.speed.measure import Result

from collapselab.files import write_json, write_text

DOCS = Path(__file__).parents[2] / "docs"
LEAST = {"pretrain": 1.6, "augment": 20.0, "knn": 1.0, "spectra": 0.5}  # ratios of the goals
WITHOUT_GOAL = ("frozen, denormal", "both, denormal")
GOALS = {
    "pretrain": f"at least {LEAST['pretrain']:g} with denormals flushed, our side started as `collapselab repro` starts a stage",
    "augment": f"at least {LEAST['augment']:g}, and at most 3 % of a step",
    "knn": f"at least {LEAST['knn']:g}, with at most 1 GiB of memory besides the features",
    "spectra": f"at least {LEAST['spectra']:g}",
    "gpu": "at least 20 for the founding network, at least 3 for SimSiam",
}


def write(found: Mapping[str, Any]) -> None:
    """docs/speed.json as it is, docs/speed.md for a person.

    Args:
        found: `machine`, `ratios` {benchmark: as its Result's JSON}, `small`, `startup_s`, `memory_mib` and `recording_share`.
    """
    write_json(DOCS / "speed.json", found)
    write_text(DOCS / "speed.md", page(found))


def page(found: Mapping[str, Any]) -> str:
    about = found["machine"]
    lines = [
        "# Speed",
        "",
        "Written by `make speed`. Every ratio is of times taken in turns in one run: how many times as fast as the peer, median of",
        "the turns, smallest and largest. Seconds hold on this machine only: "
        f"{about['processor']}, {about['cores']} cores, {about['system']},",
        f"Python {about['python']}, torch {about['torch']}, NumPy {about['numpy']}. One of them alone: "
        "`collapselab bench NAME`. As JSON: [speed.json](speed.json).",
        "",
    ]
    for name, result in found["ratios"].items():
        lines += [f"## {name}", "", f"Peer: {result['peer']}. Goal: {GOALS[name]}.", ""]
        lines += [
            "| | ratio | goal | smallest | largest | peer, s | ours, s | beside |",
            "|---|---|---|---|---|---|---|---|",
        ]
        lines += [_row(part, values, LEAST[name]) for part, values in result["parts"].items()] + [""]
    return "\n".join(
        [
            *lines,
            *_small(found["small"]),
            *_startup(found["startup_s"]),
            *_memory(found["memory_mib"]),
            *_recording(found["recording_share"]),
        ]
    )


def _row(name: str, values: Mapping[str, Any], least: float) -> str:
    ratio = values["ratio"]
    beside = ", ".join(
        f"{key} {value:.3g}" for key, value in values.items() if key not in ("ratio", "peer_s", "ours_s")
    )
    met = "" if name in WITHOUT_GOAL else "met" if round(ratio["median"], 2) >= least else "missed"
    return (
        f"| {name} | **{ratio['median']:.2f}** | {met} | {ratio['min']:.2f} | {ratio['max']:.2f} "
        f"| {values['peer_s']:.4g} | {values['ours_s']:.4g} | {beside} |"
    )


def _small(small: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        "## Small networks",
        "",
        "A step of the default study's regimes, milliseconds; its products and convolutions at the rate of a large product.",
        "",
        "| regime | one thread | two threads | augmentation | products |",
        "|---|---|---|---|---|",
        *(
            f"| {one['regime']} | {one['one']:.1f} | {one['two']:.1f} | {one['augmentation']:.1f} | {one['products']:.1f} |"
            for one in small
        ),
        "",
    ]


def _startup(startup: Mapping[str, float]) -> list[str]:
    bare = startup["bare"]
    return [
        "## Start-up",
        "",
        f"`import torch` and one optimiser: {bare:.1f} s. A cell of the default study to the end of its first step: "
        f"{startup['cell']:.1f} s. Of that, ours:",
        "",
        "| | s | of bare torch |",
        "|---|---|---|",
        *(
            f"| {name} | {took:.2f} | {took / bare:.0%} |"
            for name, took in startup.items()
            if name not in ("bare", "cell")
        ),
        "",
    ]


def _memory(memory: Mapping[str, Mapping[str, float]]) -> list[str]:
    lines = [
        "## Memory",
        "",
        "Steps of the founding network on 50,000 images, MiB: the peak of a process as `collapselab repro` starts it, above what",
        "its libraries take, beside what a step has to hold. The averages of gradients, as large as these, are in the peak alone;",
        "snapshots in neither. Goal: a ratio of at most 1.3.",
        "",
        "| regime | peak | needed | ratio | of it |",
        "|---|---|---|---|---|",
    ]
    for regime, parts in memory.items():
        needed = {name: size for name, size in parts.items() if name != "peak"}
        total = sum(needed.values())
        listed = ", ".join(f"{name} {size:.0f}" for name, size in needed.items())
        lines.append(f"| {regime} | {parts['peak']:.0f} | {total:.0f} | {parts['peak'] / total:.2f} | {listed} |")
    return [*lines, ""]


def _recording(recording: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The write of a checkpoint runs beside the training, on a core that may be free: it stands apart and counts in no sum."""
    lines = [
        "## Recording",
        "",
        "Shares of a run's time. Goal: snapshots, checkpoints and history together at most 3 % in the default study, 2 % in the",
        "notebook. Checkpoints: what the training waits for; their write to the disk goes on beside it. The",
        "notebook's are computed from single costs on this machine, as often as its 3,820 steps have them. Features: those of",
        "all train and test images before the first step and after the last one, as shares of the time between.",
        "",
        "| run | snapshots | checkpoints | history | gradient averages | together | features | write beside it |",
        "|---|---|---|---|---|---|---|---|",
    ]
    titles = {"default": "default study, simsiam", "frozen": "notebook, frozen", "both": "notebook, both"}
    for run, shares in recording.items():
        waited = [shares[name] for name in ("snapshots", "checkpoints", "history", "gradients")]
        cells = " | ".join(f"{share:.2%}" for share in (*waited, sum(waited), shares["features"], shares["write"]))
        lines.append(f"| {titles[run]} | {cells} |")
    return [*lines, ""]


def as_text(result: Result) -> str:
    """A few lines for a terminal."""
    lines = [f"{result.name}: how many times as fast as {result.peer} (goal: {GOALS[result.name]})"]
    for name, part in result.parts.items():
        ratio = part.ratio
        beside = "".join(f", {key} {value:.3g}" for key, value in part.beside.items())
        lines.append(f"  {name}: {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f}){beside}")
    return "\n".join(lines)


def as_json(result: Result) -> str:
    return json.dumps(result.as_json(), indent=2)
