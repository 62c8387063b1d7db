"""Runs of the default study with monitors attached at every step, and the k-NN curve beside them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from bench.manifests import manifest_of
from numpy.typing import NDArray
from torch import Tensor, nn

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Value, compute_all
from collapselab.collapse.snapshot import DIRECTIONAL
from collapselab.collapse.timing.detector import Alarm, Detector
from collapselab.config.study import Study, image_size, load_study
from collapselab.data import digits
from collapselab.data.augment import Normalisation, clean
from collapselab.data.dataset import Manifest, Split
from collapselab.data.loader import Batch, Loader
from collapselab.evaluation.knn import accuracy
from collapselab.methods import build
from collapselab.methods.base import Method, Outputs, Progress
from collapselab.methods.joint_embedding import JointEmbedding
from collapselab.monitor import CollapseMonitor, CollapseWarning
from collapselab.monitor.reading import METRICS
from collapselab.randomness import torch_seed
from collapselab.training.loop import begin, losses_of
from collapselab.training.modes import evaluating
from collapselab.training.optimisers import build_optimiser, set_rate
from collapselab.training.schedules import learning_rate
from collapselab.training.snapshots import Probe, calibrate_batch_norm, make_probe

STUDY = Path(__file__).parents[2] / "studies" / "quick.yaml"
DEVICE = torch.device("cpu")
EVERY = 2  # steps between readings; sparser ones are read from the same run
COMPARED = ("direction_spread", "live_directions", "median_distance", "rank_to_power_law")  # train mode against eval


@dataclass(frozen=True)
class Data:
    """The default study and its images."""

    study: Study
    splits: dict[str, Split]
    manifest: Manifest

    @classmethod
    def load(cls) -> Data:
        study = load_study(STUDY)
        assert study.data.source == "digits"
        splits = digits.make(study.data)
        return cls(study, splits, manifest_of("digits", splits))


Detected = tuple[list[tuple[str, Alarm]], dict[str, float]]  # (layer, alarm) by step; kind -> its largest pressure


@dataclass
class Watched:
    """One run.

    Attributes:
        steps, total: how many were watched, of how many that the study gives it.
        readings: layer -> (step, what the detector reads).
        knn: step -> accuracy on the validation probe, eval mode.
        modes: layer -> metric -> (train mode, eval mode) of as many images each, at the steps of `knn`.
    """

    regime: str
    seed: int
    steps: int
    total: int
    readings: dict[str, list[tuple[int, dict[str, Value]]]] = field(default_factory=dict)
    knn: dict[int, float] = field(default_factory=dict)
    modes: dict[str, dict[str, list[tuple[float, float]]]] = field(default_factory=dict)
    _detected: dict[object, Detected] = field(default_factory=dict, repr=False)

    def detect(self, every: int, limits: dict[str, float] | None = None) -> Detected:
        """Alarms by layer, in the order of steps, and each kind's largest pressure over layers and steps."""
        asked = every, tuple(sorted((limits or {}).items()))
        if asked not in self._detected:  # a page asks for the same many times
            self._detected[asked] = self._detect(every, limits)
        return self._detected[asked]

    def _detect(self, every: int, limits: dict[str, float] | None) -> Detected:
        alarms: list[tuple[str, Alarm]] = []
        most: dict[str, float] = {}
        for layer, readings in self.readings.items():
            detector = Detector(limits)
            for step, values in (reading for reading in readings if reading[0] % every == 0):
                detector.update(step, values)
                most = {kind: max(most.get(kind, 0.0), value) for kind, value in detector.pressure.items()}
            alarms += [(layer, alarm) for alarm in detector.alarms]
        return sorted(alarms, key=lambda pair: pair[1].step), most


def watch(data: Data, regime: str, seed: int, most: int, *, whole: bool = False) -> Watched:
    """Train a cell of the study as `collapselab.training` does, and watch it: for `most` of its steps, or the whole of it.

    k-NN is taken up to step `most` in either case.
    """
    method, loader, probe, normalise = _cell(data, regime, seed)
    config = data.study.regimes[regime]
    total = config.epochs * len(loader)
    steps = total if whole else min(most, total)
    found = Watched(regime, seed, steps, total)
    monitors = {layer: CollapseMonitor(layer, every=EVERY) for layer in _layers(method)}
    cosines = config.method in DIRECTIONAL
    seen = _Seen(method, cosines)
    optimiser = build_optimiser(method, config.optimiser)
    for step, batch in zip(range(steps), _batches(loader, config.epochs), strict=False):
        if due := _due(step, most):
            still = _evaluated(method, probe, normalise, cosines)
            found.knn[step] = _knn(still, method, probe, data.study)
        set_rate(optimiser, learning_rate(config.optimiser.learning_rate, config.schedule, Progress(step, total)))
        begin(method, seed, step)
        losses = losses_of(method, method.views(batch))
        for layer, given in seen.take().items():
            _update(monitors[layer], given, losses["loss"], step)
            if step % EVERY == 0:
                monitors[layer].settle()
                values = monitors[layer].latest.tolist()
                read = {k: None if math.isnan(v) else v for k, v in zip(METRICS, values, strict=True)}
                found.readings.setdefault(layer, []).append((step, read))
                if due:
                    _compare(found, layer, read, still[_layers(method)[layer]], len(given["embedding"]))
        optimiser.zero_grad(set_to_none=True)
        losses["loss"].backward()
        optimiser.step()
        method.after_step(Progress(step + 1, total))
        if (step + 1) % len(loader) == 0:
            method.after_epoch()
    if steps <= most:
        found.knn[steps] = _knn(_evaluated(method, probe, normalise, cosines), method, probe, data.study)
    return found


def _due(step: int, most: int) -> bool:
    """When k-NN is taken: up to the step at which a run that is cut ends, that included."""
    return step == most or (step < most and step % (10 if step < 100 else 20) == 0)


def _cell(data: Data, regime: str, seed: int) -> tuple[Method, Loader, Probe, Normalisation]:
    study, config = data.study, data.study.regimes[regime]
    normalise = Normalisation.for_data(study.data, data.manifest, DEVICE)
    images = {name: torch.from_numpy(split.images) for name, split in data.splits.items()}
    torch.manual_seed(torch_seed(seed, "weights"))
    method = build(config, study.backbones[config.backbone], image_size(study.data), len(data.manifest.classes))
    augmentation = study.augmentations[config.augmentation]
    labels = torch.from_numpy(data.splits["train"].labels)
    loader = Loader(images["train"], labels, augmentation, normalise, config.batch_size, seed, shuffle=config.shuffle)
    snapshots = study.training.snapshots
    probe = make_probe(data.splits["validation"], images["validation"], snapshots, augmentation, normalise, seed)
    calibrate_batch_norm(method, images["train"], normalise)
    return method, loader, probe, normalise


def _batches(loader: Loader, epochs: int) -> Iterator[Batch]:
    for epoch in range(epochs):
        yield from loader.epoch(epoch)


def _layers(method: Method) -> dict[str, str]:
    """Watched layer -> its name in snapshots."""
    return {"representation": method.representation, method.loss_layers[0]: method.loss_layers[0]}


class _Seen:
    """What a forward pass in train mode gave at the watched layers, by hooks: the methods know nothing of monitors.

    `cosines`: whether the loss compares cosines alone; its embeddings are then normalised, as `CollapseMonitor` advises.
    """

    def __init__(self, method: Method, cosines: bool) -> None:
        self.method, self.cosines, self._inside = method, cosines, []
        inner: nn.Module = method.projector if isinstance(method, JointEmbedding) else method.student[1]
        inner.register_forward_pre_hook(self._entered)
        method.register_forward_hook(self._left)
        self.outputs: Outputs = {}

    def _entered(self, module: nn.Module, given: tuple[Tensor, ...]) -> None:
        self._inside.append(given[0])

    def _left(self, module: nn.Module, given: object, outputs: Outputs) -> None:
        self.outputs = outputs

    def take(self) -> dict[str, dict[str, Tensor]]:
        """Layer -> arguments of `update`, of the step just taken."""
        inside, self._inside, outputs = self._inside, [], self.outputs
        if isinstance(self.method, JointEmbedding):
            first, second = inside[-2:]  # the method's two views, whatever was evaluated before
            z1, z2 = (F.normalize(outputs[z]) if self.cosines else outputs[z] for z in ("z1", "z2"))
            return {
                "representation": {"embedding": first, "view": second},
                "embedding": {"embedding": z1, "view": z2},
            }
        logits = outputs["student"]
        p = self.method.softmaxes()["student.logits"](logits)
        return {
            "representation": {"embedding": inside[-1][:, 1:].mean(1)},
            "student.logits": {"embedding": logits.mean(1), "probabilities": p.mean(1)},
        }


def _update(monitor: CollapseMonitor, given: dict[str, Tensor], loss: Tensor, step: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        monitor.update(**given, loss=loss, step=step)


def _evaluated(method: Method, probe: Probe, normalise: Normalisation, cosines: bool) -> dict[str, NDArray[Any]]:
    """Layer -> one vector an image of the probe, clean, eval mode; tokens are averaged, cosines' embeddings normalised."""
    with evaluating(method):
        layers = method.features(clean(probe.images, normalise))
    if cosines:
        layers |= {name: F.normalize(layers[name]) for name in method.loss_layers}
    return {name: (value if value.ndim == 2 else value.mean(1)).numpy() for name, value in layers.items()}


def _knn(layers: dict[str, NDArray[Any]], method: Method, probe: Probe, study: Study) -> float:
    vectors, bank = layers[method.representation], probe.bank
    return accuracy(vectors[bank], probe.labels[bank], vectors[~bank], probe.labels[~bank], study.evaluation.knn)


def _compare(found: Watched, layer: str, train: dict[str, Value], still: NDArray[Any], images: int) -> None:
    """Beside a reading in train mode, the same metrics of as many clean images in eval mode."""
    rows = np.linspace(0, len(still) - 1, min(images, 128)).astype(int)
    values = compute_all(Evidence(still[rows]), only=COMPARED)
    for metric in COMPARED:
        own, value = train[metric], values[metric]
        if own is not None and value is not None:
            found.modes.setdefault(layer, {}).setdefault(metric, []).append((own, value))
