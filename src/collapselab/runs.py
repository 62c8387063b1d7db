"""The cells of a study on disk: what pretraining left, in the order in which params.yaml names it.

Test images are used once, for the last epoch, beside the random initialisation of the same seed (step 0). The curve over
steps is k-NN inside each snapshot's probe set of validation images: the bank answers, the queries ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from collapselab.console import progress
from collapselab.files import Arrays, load_about, load_arrays, read_json

MOMENTS = ("initial", "final")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Run:
    """One trained cell on disk."""

    regime: str
    seed: int
    folder: Path

    @property
    def config(self) -> dict[str, Any]:
        return dict(read_json(self.folder / "config.json"))

    def features(self, moment: str) -> Arrays:
        """`initial` or `final` features of the whole train and test images, keys `split/layer`."""
        return load_arrays(self.folder / f"features-{moment}.safetensors")

    def snapshots(self) -> list[Path]:
        """In the order of steps. One pretrain stage owns the folder and DVC empties it, so what is there belongs to the run."""
        return sorted((self.folder / "snapshots").glob("step-*.safetensors"))


def runs(params: dict[str, Any], root: Path = Path()) -> Iterator[Run]:
    """Every cell of the study, enumerated from its params: cells that were removed from it may still lie on disk."""
    for regime, entry in params["regimes"].items():
        for seed in entry.get("seeds") or params["seeds"]:
            yield Run(regime, seed, root / "runs" / params["study"] / "pretrain" / regime / f"seed-{seed}")


def by_regime(
    params: dict[str, Any], judge: Callable[[Run], Result], title: str, processes: int = 1
) -> dict[str, list[Result]]:
    """`judge` of every cell, a list over seeds for each regime, with progress; `judge` can be pickled if `processes` > 1."""
    cells = list(runs(params))
    results: dict[str, list[Result]] = {}
    with progress(title) as advance, ExitStack() as stack:
        judged: Iterator[Result] = map(judge, cells)
        if processes > 1:
            judged = stack.enter_context(ProcessPoolExecutor(processes)).map(judge, cells)
        for done, (run, result) in enumerate(zip(cells, judged, strict=True), 1):
            results.setdefault(run.regime, []).append(result)
            advance(done, len(cells))
    return results


def layers(features: Arrays) -> list[str]:
    """Layers of a features file, the representation first."""
    names = [key.removeprefix("train/") for key in features if key.startswith("train/") and key != "train/labels"]
    return sorted(names, key=lambda name: (not name.endswith("representation"), name))


def step_of(snapshot: Path) -> int:
    return int(load_about(snapshot)["step"])
