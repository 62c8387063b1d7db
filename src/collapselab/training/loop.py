"""The loop: optimiser steps from one state between two steps to the next, recorded, saved and interruptible."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from collapselab.config.training import Regime
from collapselab.data.loader import Batch, Loader
from collapselab.methods.base import Method, Progress, Views
from collapselab.randomness import torch_seed
from collapselab.training.checkpoints import Checkpoint, Checkpoints, collect, restore
from collapselab.training.gradients import GradientStatistics
from collapselab.training.history import History
from collapselab.training.interruption import Interrupted, listening
from collapselab.training.optimisers import build_optimiser, set_rate
from collapselab.training.schedules import learning_rate


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
        checkpoints: where the state is saved at each epoch's end and every few seconds; None keeps none.
    """

    config: Regime
    seed: int
    method: Method
    loader: Loader
    history: History
    record: Callable[[int, int, GradientStatistics], None]
    advance: Callable[[int, int], None]
    checkpoints: Checkpoints | None = None

    def __post_init__(self) -> None:
        self.optimiser = build_optimiser(self.method, self.config.optimiser)
        self.gradients = GradientStatistics(self.method)
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
        set_rate(self.optimiser, rate)
        terms = self._descend(batch)
        self.step += 1
        recorded = self.method.after_step(Progress(self.step, self.steps))
        if self.step % len(self.loader) == 0:
            self.method.after_epoch()
        self.history.append({"step": self.step, "epoch": epoch + 1, "learning_rate": rate} | terms | recorded)
        self.record(self.step, epoch + 1, self.gradients)
        self.advance(self.step, self.steps)

    def _descend(self, batch: Batch) -> dict[str, float]:
        """One optimiser step; the loss and its terms as numbers."""
        views = self.method.views(batch)
        losses = losses_of(self.method, views, self.seed, self.step)
        values = {name: float(value.detach()) for name, value in losses.items()}
        if not math.isfinite(values["loss"]):
            raise NotFinite(self.step + 1, values["loss"], views)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(losses["loss"])
        self.gradients.update()
        self.optimiser.step()
        return values

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


def losses_of(method: Method, views: Views, seed: int, step: int) -> dict[str, torch.Tensor]:
    """The loss and its terms of the step that follows `step` steps, in train mode, with gradient.

    Dropout reads torch's global generator, which is set here to this step's own address.
    """
    torch.manual_seed(torch_seed(seed, "dropout", step))
    method.train()
    return method.loss(method(views))
