"""One cell: one regime, one seed, from fresh weights to weights, history and snapshots."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import Tensor

from collapselab.config.study import Study, image_size
from collapselab.data.augment import Normalisation
from collapselab.data.dataset import Manifest, Split
from collapselab.data.loader import Batch, Loader
from collapselab.errors import UserError
from collapselab.files import save_arrays, unwritable, write_json
from collapselab.methods import METHODS, build
from collapselab.methods.base import Method, Progress
from collapselab.randomness import torch_seed
from collapselab.training.schedules import build_optimiser, learning_rate, set_rate
from collapselab.training.snapshots import (
    Probe,
    calibrate_batch_norm,
    due,
    make_probe,
    write_features,
    write_snapshot,
)

FLUSH_EVERY = 10  # steps between flushes of history.csv, so that a run can be followed


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
    """What shapes one run."""

    study: Study
    regime: str
    seed: int
    device: torch.device

    def describe(self, manifest: Manifest, normalise: Normalisation, steps: int) -> dict[str, Any]:
        """The resolved configuration: every default spelled out."""
        study, config = self.study, self.study.regimes[self.regime]
        method = METHODS[config.method]
        return {
            "study": study.study,
            "regime": self.regime,
            "seed": self.seed,
            "steps": steps,
            "config": config.model_dump(mode="json"),
            "guards_off": [guard.name for guard in method.switched_off(config)],
            "backbone": study.backbones[config.backbone].model_dump(mode="json"),
            "augmentation": {
                name: b.model_dump(mode="json") for name, b in study.augmentations[config.augmentation].items()
            },
            "snapshots": study.training.snapshots.model_dump(mode="json"),
            "device": self.device.type,
            "threads": torch.get_num_threads(),
            "normalisation": {"mean": normalise.mean.tolist(), "std": normalise.std.tolist()},
            "data": {"source": manifest.source, "origin": manifest.origin, "sha256": manifest.sha256},
            "representation": method.representation,
            "loss_layers": list(method.loss_layers),
            "supervised": method.supervised,
        }


def run_cell(
    cell: Cell,
    splits: dict[str, Split],
    manifest: Manifest,
    out: Path,
    advance: Callable[[int, int], None] = lambda step, steps: None,
) -> None:
    """Train one cell and write everything it leaves behind into `out`.

    `advance(step, steps)` is called after each step, for progress.
    """
    config = cell.study.regimes[cell.regime]
    normalise = Normalisation.for_data(cell.study.data, manifest, cell.device)
    images = {name: torch.from_numpy(split.images).to(cell.device) for name, split in splits.items()}
    augmentation = cell.study.augmentations[config.augmentation]
    torch.manual_seed(torch_seed(cell.seed, "weights"))
    method = build(
        config, cell.study.backbones[config.backbone], image_size(cell.study.data), len(manifest.classes)
    ).to(cell.device)
    labels = torch.from_numpy(splits["train"].labels).to(cell.device)
    loader = Loader(
        images["train"], labels, augmentation, normalise, config.batch_size, cell.seed, shuffle=config.shuffle
    )
    if not len(loader):
        raise UserError(
            f"params.yaml: regimes.{cell.regime}.batch_size = {config.batch_size}: more than the data set's {len(loader.images)} "
            "training images"
        )
    steps = config.epochs * len(loader)
    write_json(out / "config.json", cell.describe(manifest, normalise, steps))

    snapshots = cell.study.training.snapshots
    probe = make_probe(splits["validation"], images["validation"], snapshots, augmentation, normalise, cell.seed)
    evaluated = {name: (images[name], splits[name].labels) for name in ("train", "test")}
    calibrate_batch_norm(method, images["train"], normalise)
    write_features(out / "features-initial.safetensors", method, evaluated, normalise, step=0)
    with History(out / "history.csv") as history:
        _train(cell, method, loader, probe, normalise, history, out / "snapshots", advance)
    write_features(out / "features-final.safetensors", method, evaluated, normalise, step=steps)
    save_weights(out / "weights.safetensors", method)


def _train(
    cell: Cell,
    method: Method,
    loader: Loader,
    probe: Probe,
    normalise: Normalisation,
    history: History,
    folder: Path,
    advance: Callable[[int, int], None],
) -> None:
    config = cell.study.regimes[cell.regime]
    optimiser = build_optimiser(method, config.optimiser)
    steps = config.epochs * len(loader)
    snapshots = cell.study.training.snapshots
    at = due(snapshots, steps, len(loader))
    step = 0

    def record(epoch: int) -> None:
        if step in at:
            path = folder / f"step-{step:06d}.safetensors"
            write_snapshot(path, method, probe, normalise, snapshots.modes, step, epoch)

    record(0)
    for epoch in range(config.epochs):
        for batch in loader.epoch(epoch):
            rate = learning_rate(config.optimiser.learning_rate, config.schedule, Progress(step, steps))
            set_rate(optimiser, rate)
            terms = _step(cell, method, optimiser, batch, step)
            step += 1
            recorded = method.after_step(Progress(step, steps))
            if step % len(loader) == 0:
                method.after_epoch()
            history.append({"step": step, "epoch": epoch + 1, "learning_rate": rate} | terms | recorded)
            record(epoch + 1)
            advance(step, steps)


def _step(cell: Cell, method: Method, optimiser: torch.optim.Optimizer, batch: Batch, step: int) -> dict[str, float]:
    """One optimiser step; the loss and its terms as numbers.

    Dropout reads torch's global generator, which is set here to this step's own address.
    """
    torch.manual_seed(torch_seed(cell.seed, "dropout", step))
    method.train()
    losses = method.loss(method(method.views(batch)))
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(losses["loss"])
    values = {name: float(value.detach()) for name, value in losses.items()}
    if not math.isfinite(values["loss"]):
        raise UserError(
            f"regime {cell.regime}, seed {cell.seed}: the loss is {values['loss']} at step {step + 1}. "
            f"Lower regimes.{cell.regime}.optimiser.learning_rate, or raise its schedule.warmup"
        )
    optimiser.step()
    return values


def save_weights(path: Path, method: Method) -> None:
    state: dict[str, Tensor] = method.state_dict()
    save_arrays(path, {name: value.detach().cpu().numpy() for name, value in state.items()}, {"method": method.name})


class History:
    """history.csv: one row a step, appended and flushed while the run goes on (the one file that is not written at once)."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._rows = 0

    def __enter__(self) -> History:
        self._file: TextIO = self.path.open("w", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def append(self, row: dict[str, float]) -> None:
        """Add a row; the first one's keys are the header. Raises UserError where the disk refuses."""
        try:
            if not self._rows:
                self._writer.writerow(row)
            self._writer.writerow(row.values())
            self._rows += 1
            if self._rows % FLUSH_EVERY == 0:
                self._file.flush()
        except OSError as error:
            raise unwritable(self.path, error) from error
