"""One cell: one regime, one seed, from fresh weights to weights, history, snapshots and features."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from collapselab.config.study import Study, image_size
from collapselab.data.augment import Normalisation
from collapselab.data.dataset import Manifest, Split
from collapselab.data.loader import Loader
from collapselab.errors import UserError
from collapselab.files import save_arrays, write_json
from collapselab.methods import METHODS, build
from collapselab.methods.base import Method, Views
from collapselab.randomness import torch_seed
from collapselab.training.checkpoints import Checkpoint, Checkpoints
from collapselab.training.history import History
from collapselab.training.loop import Losses, NotFinite, Trainer, losses_of
from collapselab.training.recorder import Recorder
from collapselab.training.replay import write_step
from collapselab.training.snapshots import calibrate_batch_norm, due, make_probe
from collapselab.training.workspace import FINISHED


def choose_device(name: str) -> torch.device:
    """The device that `training.device` names; auto is CUDA, then MPS, then the CPU.

    Raises UserError where the named device is absent.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, there in available.items() if there)
    if not available[name]:
        raise UserError(f"params.yaml: training.device = {name!r}: this machine has none. Use auto or cpu")
    return torch.device(name)


@dataclass(frozen=True)
class Cell:
    """What shapes one run, next to the data and the code."""

    study: Study
    regime: str
    seed: int
    device: torch.device

    def steps(self, images: int) -> int:
        """Optimiser steps over a training set of `images` images. Raises UserError where not one batch is full."""
        config = self.study.regimes[self.regime]
        if images < config.batch_size:
            raise UserError(
                f"params.yaml: regimes.{self.regime}.batch_size = {config.batch_size}: more than the data set's {images} "
                "training images"
            )
        return config.epochs * (images // config.batch_size)

    def describe(self, manifest: Manifest, normalise: Normalisation) -> dict[str, Any]:
        """The resolved configuration: every default spelled out."""
        study, config = self.study, self.study.regimes[self.regime]
        method = METHODS[config.method]
        return {
            "study": study.study,
            "regime": self.regime,
            "seed": self.seed,
            "steps": self.steps(manifest.counts["train"]),
            "config": config.model_dump(mode="json"),
            "guards_off": [guard.name for guard in method.switched_off(config)],
            "expected": method.expected(config),
            "backbone": study.backbones[config.backbone].model_dump(mode="json"),
            "augmentation": {
                name: b.model_dump(mode="json") for name, b in study.augmentations[config.augmentation].items()
            },
            "snapshots": study.training.snapshots.model_dump(mode="json", exclude_none=True),
            "device": self.device.type,
            "threads": torch.get_num_threads(),
            "normalisation": {"mean": normalise.mean.tolist(), "std": normalise.std.tolist()},
            "data": {"source": manifest.source, "origin": manifest.origin, "sha256": manifest.sha256},
            "representation": method.representation,
            "loss_layers": list(method.loss_layers),
            "supervised": method.supervised,
            **({"autocast": study.training.autocast} if study.training.autocast else {}),
            **({"compile": True} if self.compiled else {}),
        }

    @property
    def compiled(self) -> bool:
        return self.study.training.compile and self.device.type == "cuda"

    def shapes(self, manifest: Manifest, sources: Mapping[str, str]) -> dict[str, Any]:
        """Everything that decides the run's bytes: a checkpoint may be picked up only where all of it is the same.

        Args:
            sources: the stage's code, {path: sha256}.
        """
        return {
            "cell": self.describe(manifest, Normalisation.for_data(self.study.data, manifest)),
            "sources": dict(sources),
            "versions": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "numpy": np.__version__,
            },
            "processor": torch.backends.cpu.get_cpu_capability(),
            "accelerator": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else None,
        }


def run_cell(
    cell: Cell,
    splits: dict[str, Split],
    manifest: Manifest,
    out: Path,
    checkpoints: Checkpoints | None = None,
    advance: Callable[[int, int], None] = lambda step, steps: None,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Train one cell and write everything it leaves behind into `out`.

    Args:
        checkpoints: where the run's state is kept while it goes on; a checkpoint in there is gone on from.
        advance: called with (step, steps) after each step, for progress.
        say: told where the run goes on from a checkpoint, and then how many steps it took.

    Raises:
        UserError: a loss that is not finite, or a disk that refuses.
        Interrupted: SIGTERM or Ctrl-C, after the state was saved.
    """
    steps = cell.steps(len(splits["train"]))
    if checkpoints and (out / FINISHED).exists():
        say(f"resumed at step {steps} of {steps}")
        return
    found = checkpoints.latest() if checkpoints else None
    if found:
        say(f"resumed at step {found.step} of {steps}")
    _sweep(out, found)
    normalise = Normalisation.for_data(cell.study.data, manifest, cell.device)
    images = {name: torch.from_numpy(split.images).to(cell.device) for name, split in splits.items()}
    method, loader = _build(cell, splits["train"], images["train"], manifest, normalise)
    config, snapshots = cell.study.regimes[cell.regime], cell.study.training.snapshots
    at = due(snapshots, steps, len(loader))
    probe = make_probe(splits["validation"], images["validation"], snapshots, loader.augmentation, normalise, cell.seed)
    evaluated = {name: (images[name], splits[name].labels) for name in ("train", "test")}
    recorder = Recorder(out, method, normalise, snapshots, at, probe, evaluated)
    if not found:
        write_json(out / "config.json", cell.describe(manifest, normalise))
        calibrate_batch_norm(method, images["train"], normalise)
        recorder.features("initial", step=0)
    with History(out / "history.csv", found.history if found else b"") as history:
        losses = _losses(cell)
        trainer = Trainer(config, cell.seed, method, loader, history, recorder.snapshot, advance, losses, checkpoints)
        try:
            trainer.run(found)
        except NotFinite as error:
            raise _broken(cell, error, method, manifest, normalise, checkpoints, out) from error
    if found:
        say(f"took {steps - found.step} steps")
    recorder.features("final", step=steps)
    save_weights(out / FINISHED, method)


def _build(
    cell: Cell, train: Split, images: Tensor, manifest: Manifest, normalise: Normalisation
) -> tuple[Method, Loader]:
    """Fresh weights of the cell's seed, and the batches that train them; `images` are the split's, on the cell's device."""
    study, config = cell.study, cell.study.regimes[cell.regime]
    torch.manual_seed(torch_seed(cell.seed, "weights"))
    method = build(config, study.backbones[config.backbone], image_size(study.data), len(manifest.classes))
    method = method.to(cell.device)
    labels = torch.from_numpy(train.labels).to(cell.device)
    augmentation = study.augmentations[config.augmentation]
    loader = Loader(
        images,
        labels,
        augmentation,
        normalise,
        config.batch_size,
        cell.seed,
        shuffle=config.shuffle,
        compiled=cell.compiled,
    )
    return method, loader


def _losses(cell: Cell) -> Callable[[Method, Views], Losses]:
    """What the cell's steps minimise: in the study's precision, and compiled where it asks for that."""
    compute = torch.compile(losses_of) if cell.compiled else losses_of
    autocast = cell.study.training.autocast
    return partial(compute, autocast=getattr(torch, autocast) if autocast else None)


def _broken(
    cell: Cell,
    error: NotFinite,
    method: Method,
    manifest: Manifest,
    normalise: Normalisation,
    checkpoints: Checkpoints | None,
    out: Path,
) -> UserError:
    """The message for a loss that is not finite, once the step is kept in a file."""
    kept = (checkpoints.folder if checkpoints else out) / f"replay-step-{error.step:06d}.safetensors"
    write_step(kept, cell.describe(manifest, normalise), len(manifest.classes), error.step, method, error.views)
    last = checkpoints.newest if checkpoints else None
    return UserError(
        f"regime {cell.regime}, seed {cell.seed}: {error}. Lower regimes.{cell.regime}.optimiser.learning_rate, or raise its "
        f"schedule.warmup. `collapselab replay {kept}` runs that step again and says where it breaks; the last good "
        f"checkpoint is {last or 'none: the first epoch had not ended'}"
    )


def save_weights(path: Path, method: Method) -> None:
    state: dict[str, Tensor] = method.state_dict()
    save_arrays(path, {name: value.detach().cpu().numpy() for name, value in state.items()}, {"method": method.name})


def _sweep(out: Path, found: Checkpoint | None) -> None:
    """Remove what a killed process left half-written, and snapshots of steps after the one to go on from."""
    for left in out.rglob(".*.tmp"):
        left.unlink()
    for snapshot in (out / "snapshots").glob("step-*.safetensors"):
        if found is None or int(snapshot.stem.removeprefix("step-")) > found.step:
            snapshot.unlink()
