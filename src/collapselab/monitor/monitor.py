"""`CollapseMonitor`: a torchmetrics metric that watches one layer while it is trained, and says which collapse has begun."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from collapselab.collapse.diagnosis import Diagnosis, diagnose
from collapselab.collapse.evidence import Evidence
from collapselab.collapse.kind import KINDS
from collapselab.collapse.registry import Value, compute_all
from collapselab.collapse.signatures import Signature
from collapselab.errors import UserError
from collapselab.monitor import averages, reading
from collapselab.monitor.averages import Averaged
from collapselab.monitor.detection import FEWEST, Detection
from collapselab.monitor.inputs import check_batch, check_options
from collapselab.monitor.losses import Losses
from collapselab.monitor.reading import Choice, Reading
from collapselab.monitor.warned import Warned, tell
from collapselab.monitor.words import Words

STATES = {name: "sum" for name in averages.SUMS} | {"skipped": "sum", "skipped_from": "min", "pressure": "max"}


class CollapseMonitor(Metric):
    """Watches one layer from inside any training loop.

    >>> monitor = CollapseMonitor()                  # one for each layer
    >>> monitor.update(z1, view=z2, loss=loss)       # every step; waits for no device
    >>> log(monitor.compute())                       # now and then: a flat dict of floats
    >>> print(monitor.report())                      # in words; monitor.warnings has kind and step

    `compute` gives metrics under the registry's names (`collapselab explain NAME`): those of moments are averaged over a window
    of steps, each batch centred by itself, and over ranks, each image counting the same; those that compare images are of the
    latest reading, averaged over ranks. NaN stands for a value that is undefined. Beside them stand `pressure` (how near the
    worst kind is to an alarm, 1 being one), `alarms` (kinds that some rank has named) and `skipped` (batches whose embedding
    holds NaN, infinity or numbers whose squares are no float32, which change no average). A reading whose other view or softmax
    isn't finite is judged without it.

    Every `every`-th step a reading goes to the host: at most `images` images and `channels` channels of the batch. The detector
    of `collapse.timing` looks at readings alone and names a kind once it held in three of five, so the monitor must be there
    from the first step: what was never healthy can't fall. Readings of other numbers of images have marks of their own, and
    those of fewer than eight images are not judged. Each rank watches its own batches; nothing is sent but in `compute`.

    Give it what the loss takes: where the loss normalises vectors, normalise them first. A cosine loss leaves lengths alone, and
    its collapse then hides in a common offset that grows while distances stay.

    It sees what the loss sees: train mode, augmented views. Dropout and batch statistics add variance that no image put there,
    so ranks and spreads read higher than `collapselab diagnose` finds on a snapshot in eval mode.

    Args:
        layer: its name in sentences.
        mode: of the network when it gives these features; said in every report.
        window: steps over which moments are averaged: a step that is k steps old weighs (1 - 1 / window)^k; 1 for the last alone.
        every: steps between readings.
        images, channels: of a reading, at most; a seeded choice.
        temperature: by which logits are divided before their softmax.
        prototypes: numbers K whose ln K the loss is compared with; by default what public configurations have, and the softmax's.
        limits: kind -> pressure from which it is named, 1 unless healthy runs of one's own ask for more.
        warm_up: readings before this step are not judged.
        kwargs: torchmetrics' own (`sync_on_compute`, `process_group`, ...).
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    # The sums of `averages`, and what readings leave for `compute`.
    scatter: Tensor
    mean: Tensor
    images: Tensor
    skipped: Tensor
    skipped_from: Tensor
    pressure: Tensor
    alarmed: Tensor
    latest: Tensor

    def __init__(
        self,
        layer: str = "embedding",
        *,
        mode: Literal["train", "eval"] = "train",
        window: int = 20,
        every: int = 10,
        images: int = 128,
        channels: int = 512,
        temperature: float = 1.0,
        prototypes: tuple[int, ...] = (),
        limits: Mapping[str, float] | None = None,
        warm_up: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        counts = [("window", window, 1), ("every", every, 1), ("images", images, FEWEST), ("channels", channels, 1)]
        check_options(mode, temperature, limits or {}, counts, prototypes)
        self.layer, self.mode, self.every, self.temperature = layer, mode, every, temperature
        self.keep = 1 - 1 / window
        self._prototypes = prototypes
        self._limits, self._warm_up = dict(limits or {}), warm_up
        self._choice = Choice(images, channels)
        for name, reduction in STATES.items():
            self.add_state(name, torch.zeros(()), dist_reduce_fx=reduction)
        self.add_state("alarmed", torch.zeros(len(KINDS)), dist_reduce_fx="max")
        self.add_state("latest", torch.full((len(reading.METRICS),), math.nan), dist_reduce_fx=_mean_of_known)
        self._forget()

    def _forget(self) -> None:
        self._detection = Detection(self._limits, self._warm_up)
        self._calls, self._step = 0, -1
        self._spacing, self._gradient, self._softmax = float(np.finfo(np.float32).eps), False, 0
        self._losses = Losses()
        self._pending: deque[Reading] = deque()
        self._first: Evidence | None = None
        self._last: Evidence | None = None
        self._values: dict[str, Value] | None = None
        self._words = Words(self.layer, self.mode)

    def reset(self) -> None:
        """Forget everything, the marks of the detector too: for a new network, not for a new epoch."""
        super().reset()
        self._forget()

    # Its bookkeeping is Python, and a break of the graph costs nothing beside a step.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def update(
        self,
        embedding: Tensor,
        view: Tensor | None = None,
        *,
        logits: Tensor | None = None,
        probabilities: Tensor | None = None,
        loss: Tensor | float | Mapping[str, Tensor | float] | None = None,
        step: int | None = None,
    ) -> None:
        """Take one step's batch. Nothing is kept of the graph, and nothing waits for the device.

        Args:
            embedding: [N, d], one vector an image, any floating type; d <= 8192. A batch of one image is passed over.
            view: [N, d], the other view of the same images: with it `nuisance` can be named.
            logits: [N, K], what the loss takes the softmax of; or
            probabilities: [N, K]. With either one-hot, uniform and prototype collapse can be named.
            loss: the loss, or it and its terms by name ("loss", "covariance", "variance", "teacher_entropy").
            step: the number of this step; by default updates are counted from 0.

        Raises UserError where shapes don't fit.
        """
        check_batch(embedding, view, logits, probabilities)
        self._step = self._step + 1 if step is None else int(step)
        self._gradient |= embedding.requires_grad
        if loss is not None:
            self._losses.add(loss)
        if len(embedding) < 2:
            return
        self._spacing = max(torch.finfo(embedding.dtype).eps, float(np.finfo(np.float32).eps))
        with _plain(embedding.device):
            self._fold(embedding.detach())
            if self._calls % self.every == 0:
                self._pending.append(Reading.of(self._step, self._parts(embedding, view, logits, probabilities)))
        self._calls += 1
        # A copy from an accelerator is looked at when the next one leaves: by then it is there.
        while len(self._pending) > 1 or (self._pending and self._pending[0].immediate):
            self._judge(self._pending.popleft())

    def _fold(self, embedding: Tensor) -> None:
        d, device = embedding.shape[1], embedding.device
        if self.scatter.ndim == 0:
            self._allocate(d, device)
        if self.scatter.dtype != torch.float32:  # the network that holds the monitor was cast
            self._set_types(device)
        if self.scatter.shape[0] != d:
            raise UserError(
                f"{self.layer}: {d} dimensions, {self.scatter.shape[0]} before: one monitor watches one layer"
            )
        good = averages.fold({name: getattr(self, name) for name in averages.SUMS}, embedding.float(), self.keep)
        bad = (~good).to(self.skipped.dtype)
        self.skipped += bad
        self.skipped_from = torch.where(good, self.skipped_from, self.skipped_from.clamp(max=self._step))

    def _allocate(self, d: int, device: torch.device) -> None:
        shapes = {"scatter": (d, d), "mean": (d,), "unit_variance": (d,)}
        for name in averages.SUMS:
            setattr(self, name, torch.zeros(shapes.get(name, ()), device=device))
        self._set_types(device)
        self.skipped, self.pressure = torch.zeros((), device=device), torch.zeros((), device=device)
        self.skipped_from = torch.full((), math.inf, device=device)
        self.alarmed, self.latest = self.alarmed.to(device), self.latest.to(device)

    def _set_types(self, device: torch.device) -> None:
        for name in averages.SUMS:
            kept: Tensor = getattr(self, name)
            setattr(self, name, kept.to(torch.float32 if kept.ndim else averages.scalars(device)))

    def _parts(
        self, embedding: Tensor, view: Tensor | None, logits: Tensor | None, probabilities: Tensor | None
    ) -> dict[str, Tensor]:
        parts = {"sample": self._choice.block(embedding)}
        if view is not None:
            parts["view"] = self._choice.block(view)
        if logits is not None:
            parts["probabilities"] = (self._choice.rows(logits.detach()).float() / self.temperature).softmax(1)
        elif probabilities is not None:
            parts["probabilities"] = self._choice.rows(probabilities.detach()).float()
        if "probabilities" in parts:
            self._softmax = parts["probabilities"].shape[1]
        return parts

    def _judge(self, taken: Reading) -> None:
        """Give a reading to the detector, and tell of what it named."""
        evidence, unread = taken.evidence()
        if evidence is None:
            self._words.tell_skipped(taken.step)
            return
        for name in unread:
            self._words.tell_unread(name, taken.step)
        values = compute_all(evidence, only=reading.METRICS)
        self._first, self._last = self._first or evidence, evidence
        self._values = values
        for alarm in self._detection.update(taken.step, values, len(evidence.sample)):
            tell(str(Warned(self.layer, alarm.kind, alarm.step, alarm.evidence)))

    def settle(self) -> None:
        """Judge readings that are still on their way; `compute`, `warnings` and `report` do so themselves."""
        while self._pending:
            self._judge(self._pending.popleft())
        if self._values is None or self._is_synced:
            return
        # Only here, for writing to an accelerator waits for it.
        device, named = self.latest.device, {alarm.kind for alarm in self._detection.alarms}
        self.latest = torch.tensor([_number(self._values.get(name)) for name in reading.METRICS], device=device)
        self.pressure = torch.tensor(max(self._detection.pressure.values(), default=0.0), device=device)
        self.alarmed = torch.tensor([float(kind in named) for kind in KINDS], device=device)

    def sync(
        self,
        dist_sync_fn: Callable[..., Any] | None = None,
        process_group: Any = None,
        should_sync: bool = True,
        distributed_available: Callable[[], bool] | None = None,
    ) -> None:
        """Bring all ranks' states together, once their own readings are judged."""
        self.settle()
        available = distributed_available or self.distributed_available_fn
        if should_sync and not self._is_synced and dist_sync_fn is None and available and available():
            self._match_width(process_group or self.process_group)
        super().sync(dist_sync_fn, process_group, should_sync, distributed_available)

    def _match_width(self, group: Any) -> None:
        """A rank that has had no batch takes the others' shapes: what is gathered must have the same everywhere."""
        on_gpu = torch.distributed.get_backend(group) == "nccl"
        device = torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")
        width = torch.tensor(len(self.scatter) if self.scatter.ndim else 0, device=device)
        torch.distributed.all_reduce(width, torch.distributed.ReduceOp.MAX, group=group)
        if self.scatter.ndim == 0 and int(width):
            self._allocate(int(width), device)

    def __getstate__(self) -> dict[str, Any]:
        self.settle()  # events of a device can't be pickled
        return dict(super().__getstate__())

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """`update` and `compute`: the window's values, not the batch's alone. A loop that is in a hurry calls `update`."""
        self.update(*args, **kwargs)
        return self.compute()

    def compute(self) -> dict[str, float]:
        """Metrics by the registry's names; empty before the first batch. On CUDA it waits for the device."""
        self.settle()
        if self.scatter.ndim == 0:
            return {}
        host = {
            name: getattr(self, name).cpu() for name in ("skipped", "skipped_from", "pressure", "alarmed", "latest")
        }
        if float(host["skipped"]):  # between two readings nobody looked
            self._words.tell_skipped(int(host["skipped_from"]))
        found = dict(zip(reading.METRICS, host["latest"].tolist(), strict=True))
        found = {name: value for name, value in found.items() if not math.isnan(value)}
        if float(self.images) > 0:
            found |= {name: _number(value) for name, value in compute_all(self.averaged(), averages.METRICS).items()}
        own = {
            "pressure": float(host["pressure"]),
            "alarms": float(host["alarmed"].sum()),
            "skipped": float(host["skipped"]),
        }
        return dict(sorted(found.items())) | own

    def averaged(self) -> Averaged:
        """The averaged moments as evidence, for other metrics of moments. Raises UserError before the first finite batch."""
        if self.scatter.ndim == 0 or not float(self.images) > 0:
            raise UserError(f"{self.layer}: no finite batch has been seen yet")
        return Averaged.of({name: getattr(self, name) for name in averages.SUMS}, self._spacing)

    @property
    def warnings(self) -> list[Warned]:
        """What this rank has named so far, in the order of steps."""
        self.settle()
        return [
            Warned(self.layer, alarm.kind, alarm.step, alarm.evidence, self._detection.stands(alarm))
            for alarm in self._detection.alarms
        ]

    @property
    def pressures(self) -> dict[str, float]:
        """Kind -> how near this rank's last readings stand to an alarm, 1 being one; before `limits`."""
        self.settle()
        return dict(self._detection.pressure)

    def signatures(self) -> list[Signature]:
        """What the loss's curve says: hints alone, for a loss may also sit where it does for a good reason."""
        return self._losses.signatures([*self._prototypes, *([self._softmax] if self._softmax else [])])

    def diagnosis(self) -> Diagnosis:
        """This rank's latest reading, graded against its first by the thresholds of `collapselab diagnose`.

        Those were calibrated on eval-mode features. Raises UserError before the first reading.
        """
        self.settle()
        if self._last is None:
            raise UserError(f"{self.layer}: no finite batch has been seen yet")
        start = self._first if self._first is not self._last else None
        found = diagnose(self._last, start, signatures=self.signatures(), where="at the monitor's first step", draws=0)
        named = [str(warned) for warned in self.warnings if warned.standing]
        told = f"{'; '.join(named)}. The latest reading by itself: {found.sentence}" if named else found.sentence
        return replace(found, warnings=[*named, *found.warnings, self._words.seen(self._gradient)], sentence=told)

    def report(self) -> str:
        """Lines for a person: what was named and when, what the loss says, and what these features are."""
        self.settle()
        some = self.scatter.ndim and float(self.skipped)
        skipped = (int(self.skipped), int(self.skipped_from)) if some else None
        return self._words.report(self.warnings, self.signatures(), self._step, skipped, self._gradient)


def _plain(device: torch.device) -> ExitStack:
    """Float32 products whatever autocast says, and states that later steps may change whatever inference mode says."""
    stack = ExitStack()
    stack.enter_context(torch.inference_mode(False))
    stack.enter_context(torch.no_grad())
    stack.enter_context(torch.autocast(device.type, enabled=False))
    return stack


def _mean_of_known(values: Tensor) -> Tensor:
    """[ranks, M] -> [M], without the ranks that have no value."""
    return values.nanmean(0)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
