"""The loop: optimiser steps from one state between two steps to the next, recorded, saved and interruptible."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from collapselab.config.training import Regime
from collapselab.cudagraphs import Replayed
from collapselab.data.loader import Batch, Loader
from collapselab.methods.base import Method, Progress, Views
from collapselab.randomness import torch_seed
from collapselab.training.checkpoints import Checkpoint, Checkpoints, collect, restore
from collapselab.training.gradients import GradientStatistics
from collapselab.training.history import History
from collapselab.training.interruption import Interrupted, listening
from collapselab.training.optimisers import build_optimiser, set_rate
from collapselab.training.schedules import learning_rate

Losses = dict[str, Tensor]


class NotFinite(Exception):
    """The loss is NaN or infinite; `views` is what the step that gave it saw, the method's state is what it began with."""

    def __init__(self, step: int, loss: float, views: Views) -> None:
        super().__init__(f"the loss is {loss} at step {step}")
        self.step, self.views = step, views


@dataclass
class Trainer:
    """One run: everything that a step changes, and what is done after each.

    Attributes:
        record: called with (step, epoch, gradients) at step 0 and after each step; writes the snapshots that are due.
        advance: called with (step, steps) after each step, for progress.
        losses: the loss and its terms of a method's views, as `losses_of` gives them.
        checkpoints: where the state is saved at each epoch's end and every few seconds; None keeps none.
    """

    config: Regime
    seed: int
    method: Method
    loader: Loader
    history: History
    record: Callable[[int, int, GradientStatistics], None]
    advance: Callable[[int, int], None]
    losses: Callable[[Method, Views], Losses]
    checkpoints: Checkpoints | None = None

    def __post_init__(self) -> None:
        self.optimiser = build_optimiser(self.method, self.config.optimiser)
        self.gradients = GradientStatistics(self.method)
        self._differentiate_again = Replayed(lambda labels, *images: self._differentiate(self._named(labels, images)))
        self._update_again = Replayed(self._update)
        self.step = 0
        self.steps = self.config.epochs * len(self.loader)

    def run(self, start: Checkpoint | None = None) -> None:
        """All steps, or those that follow a checkpoint.

        Raises:
            NotFinite: before the optimiser has used the gradient.
            Interrupted: after SIGTERM or Ctrl-C, between two steps, when the state is saved.
        """
        if start:
            restore(start.arrays, self.method, self.optimiser, self.gradients)
            self.step = start.step
        else:
            self.record(0, 0, self.gradients)
        per_epoch = len(self.loader)
        with listening() as signalled:
            for epoch in range(self.step // per_epoch, self.config.epochs):
                for batch in self.loader.epoch(epoch, self.step % per_epoch):
                    self._advance(batch, epoch)
                    self._save(signalled())

    def _advance(self, batch: Batch, epoch: int) -> None:
        rate = learning_rate(self.config.optimiser.learning_rate, self.config.schedule, Progress(self.step, self.steps))
        terms = self._descend(batch, rate)
        self.step += 1
        recorded = self.method.after_step(Progress(self.step, self.steps))
        if self.step % len(self.loader) == 0:
            self.method.after_epoch()
        self.history.append({"step": self.step, "epoch": epoch + 1, "learning_rate": rate} | terms | recorded)
        self.record(self.step, epoch + 1, self.gradients)
        self.advance(self.step, self.steps)

    def _descend(self, batch: Batch, rate: float) -> dict[str, float]:
        """One optimiser step; the loss and its terms as numbers."""
        views = self.method.views(batch)
        begin(self.method, self.seed, self.step)
        # Masks are as long as the batch's shortest: no fixed shapes to record.
        again = views.labels.is_cuda and not views.masks
        if again:
            losses = self._differentiate_again(views.labels, *(x for images in views.images.values() for x in images))
        else:
            losses = self._differentiate(views)
        # Read together: each read waits for the device.
        values = dict(zip(losses, torch.stack(list(losses.values())).tolist(), strict=True))
        if not math.isfinite(values["loss"]):
            raise NotFinite(self.step + 1, values["loss"], views)
        if again:
            self._update_again(torch.full((), rate, device=views.labels.device))
        else:
            self._update(rate)
        return values

    def _differentiate(self, views: Views) -> Losses:
        """The loss and its terms, without gradient; the loss's lies at the parameters."""
        self.optimiser.zero_grad(set_to_none=True)
        losses = self.losses(self.method, views)
        torch.autograd.backward(losses["loss"])
        return {name: value.detach() for name, value in losses.items()}

    def _update(self, rate: float | Tensor) -> dict[str, Tensor]:
        """Use the gradients. `rate` is a tensor where the step is recorded and replayed, which would repeat a number."""
        set_rate(self.optimiser, rate)
        self.gradients.update()
        self.optimiser.step()
        return {}

    def _named(self, labels: Tensor, images: tuple[Tensor, ...]) -> Views:
        """The views again that were laid out in a row."""
        rest = iter(images)
        counts = {branch: entry.views for branch, entry in self.loader.augmentation.items()}
        return Views({branch: [next(rest) for _ in range(count)] for branch, count in counts.items()}, labels)

    def _save(self, signal: int | None) -> None:
        due = self.checkpoints is not None and (self.checkpoints.due() or self.step % len(self.loader) == 0)
        if self.checkpoints and (due or signal is not None):
            history = np.frombuffer(self.history.content(), np.uint8)
            state = collect(self.method, self.optimiser, self.gradients)
            self.checkpoints.save(self.step, state | {"history": history})
            if signal is not None or self.step == self.steps:
                self.checkpoints.settle()
        if signal is not None:
            saved = "and saved" if self.checkpoints else "and not saved"
            raise Interrupted(f"stopped after step {self.step} of {self.steps} {saved}", signal)


def begin(method: Method, seed: int, step: int) -> None:
    """Make ready for the step that follows `step` steps: train mode, and torch's global generator, which dropout reads."""
    torch.manual_seed(torch_seed(seed, "dropout", step))
    if not method.training:  # a walk through all modules
        method.train()


def losses_of(method: Method, views: Views, autocast: torch.dtype | None = None) -> Losses:
    """The loss and its terms, with gradient, in the mode that the method is in; only the networks run in `autocast`."""
    with torch.autocast(views.labels.device.type, autocast, enabled=autocast is not None):
        outputs = method(views)
    return method.loss({name: value.float() if value.is_floating_point() else value for name, value in outputs.items()})
