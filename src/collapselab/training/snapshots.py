"""Snapshots: the one contract between training and science.

A snapshot is a safetensors file, `snapshots/step-000120.safetensors`: features of the fixed probe set at every named layer, at
one step. Keys are `mode/view/token/layer`:

- mode: `eval`, or `train` (dropout and batch statistics on) where `training.snapshots.modes` asks for it.
- view: `clean`; `augmented` (q draws of a fixed subset of the probe set, through the regime's own augmentation, `image` only); or
  `drawn` (one draw of every probe image through the same, with all that `clean` has).
- token: what the vectors are.
    - `image`: one vector an image, [N, d] (augmented: [M, q, d]); for a layer of tokens, the mean over its patches.
    - `position`: mean over images at each token position, [T, d] float64. Layers of tokens only, as is
    - `moment`: sum over all tokens of x x^T / (N T), uncentred, [d, d] float64.
    - `probability`: the layer's softmax, as the loss takes it, averaged over an image's tokens, [N, K].
    - `probability-position`: the same averaged over images, [T, K].
    - `entropy`: entropy of each token's softmax, averaged over an image's tokens, [N], nats.
    - `fixed`: the vectors at one position, [N, d]. Where `training.snapshots.tokens` asks for it and the layer has tokens, as are
    - `probability-fixed`: their softmax, [N, K], and
    - `probability-moment`: sum over all tokens of p p^T / (N T), uncentred, [K, K] float64.
- layer: the method's own name, for example `representation`, `embedding`, `student.logits`.

Beside them stand `labels` [N] and `bank` (1 where an image answers k-NN queries, 0 where it asks), and what
`training.gradients` knows of each weight layer, [1] float64: `gradient/norm/<layer>`, absent at step 0, and
`gradient/snr/<layer>`, absent there, at step 1 and where gradients don't vary. A weight layer is a module that owns trainable
parameters, by its dotted name in the method, for example `backbone.blocks.0.conv1`. The metadata holds schema, step, epoch,
method, the layer that evaluation reads, the layers that the loss acts on, and the weight layers in the network's order.

Where `training.snapshots.tokens` is set, the first snapshot and the last also hold `drawn`, and both views in both modes.

`features-initial.safetensors` and `features-final.safetensors` hold `split/layer` for the whole train and test images, one
vector an image, at the layers that the method's `evaluated` names, with `split/labels`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from collapselab.config.data import Augmentation
from collapselab.config.training import Snapshots, Tokens
from collapselab.data.augment import Normalisation, augment, clean, width
from collapselab.data.dataset import Split
from collapselab.errors import UserError
from collapselab.files import save_arrays
from collapselab.methods.base import Method
from collapselab.randomness import uniforms
from collapselab.training.gradients import GradientStatistics
from collapselab.training.modes import evaluating, in_train_mode
from collapselab.training.tokens import summarise

SCHEMA = 1
CHUNK = 256  # images a forward pass: bounds memory, and the same for every caller so that bytes agree


@dataclass(frozen=True)
class Probe:
    """The images that every snapshot of a run sees.

    Attributes:
        images: [N, 3, H, W] uint8.
        labels: [N].
        bank: [N], whether an image answers k-NN queries.
        views: [M, q, 3, H, W] float32, augmented and normalised once: the same draws at every step.
        drawn: [N, 3, H, W] float32, one such draw of every image; None where nothing asks for it.
    """

    images: Tensor
    labels: NDArray[np.int64]
    bank: NDArray[np.bool_]
    views: Tensor
    drawn: Tensor | None = None


def probe_rows(split: Split, config: Snapshots) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the bank and of the queries in the validation split.

    Where images are draws of the same originals (digits), an original is in the bank or among the queries, never in both:
    k-NN would recognise it instead of its class. Raises UserError where the split is too small.
    """
    original = split.factors.get("original", np.arange(len(split)))
    names, first = np.unique(original, return_index=True)
    names = names[np.argsort(first)]  # in the split's own order
    share = config.bank / (config.bank + config.queries)
    banked = np.isin(original, names[: round(share * len(names))])
    bank, queries = np.flatnonzero(banked)[: config.bank], np.flatnonzero(~banked)[: config.queries]
    for name, rows, wanted in (("bank", bank, config.bank), ("queries", queries, config.queries)):
        if len(rows) < wanted:
            raise UserError(
                f"params.yaml: training.snapshots.{name} = {wanted}: the {len(split)} validation images hold {len(rows)}; "
                f"lower it, or raise data.validation"
            )
    return bank, queries


def make_probe(
    split: Split,
    images: Tensor,
    config: Snapshots,
    augmentation: Augmentation,
    normalise: Normalisation,
    seed: int,
) -> Probe:
    """The probe set: bank, then queries, from the validation split (`images`: its own, on the model's device).

    The views go through the branch of the augmentation that changes images most (the one that reads most draws).
    """
    rows = np.concatenate(probe_rows(split, config))
    probed = images[torch.from_numpy(rows).to(images.device)]
    branch = max(augmentation.values(), key=width)
    # Bank and queries alike are seen through the augmentation.
    subset = probed[torch.linspace(0, len(rows) - 1, config.view_images).long().to(images.device)]

    def draw(chosen: Tensor, name: str) -> Tensor:
        table = uniforms(seed, f"probe/{name}", 0, len(chosen), width(branch))
        return augment(chosen, torch.from_numpy(table).to(images.device), branch, normalise)

    views = torch.stack([draw(subset, str(view)) for view in range(config.views)], 1)
    drawn = draw(probed, "drawn") if config.tokens else None
    return Probe(probed, split.labels[rows], np.arange(len(rows)) < config.bank, views, drawn)


def due(config: Snapshots, steps: int, per_epoch: int) -> set[int]:
    """The steps at which a run of `steps` steps writes a snapshot: initialisation, log-spaced, epochs' ends, the last."""
    every = config.epoch_interval * per_epoch
    return {0, steps, *(step for step in config.log_steps if 0 <= step <= steps), *range(every, steps + 1, every)}


def snapshot(
    method: Method,
    probe: Probe,
    normalise: Normalisation,
    modes: Sequence[str] = ("eval",),
    tokens: Tokens | None = None,
    *,
    end: bool = False,
) -> dict[str, NDArray[Any]]:
    """The arrays of one snapshot, by key; `end`: the run's first or last, of which `tokens` asks more."""
    seen: dict[str, tuple[str, ...]] = {mode: ("clean", "augmented") for mode in modes}
    if tokens and end:
        seen = {mode: (*seen.get(mode, ("clean",)), "drawn") for mode in ("eval", "train")}
    arrays: dict[str, Tensor] = {}
    for mode, views in seen.items():
        with evaluating(method) if mode == "eval" else in_train_mode(method):
            for view in views:
                found = _seen(method, probe, normalise, view, tokens.position if tokens else None)
                arrays |= {f"{mode}/{view}/{key}": value for key, value in found.items()}
    numpy = {key: array.cpu().numpy() for key, array in arrays.items()}
    return numpy | {"labels": probe.labels, "bank": probe.bank.astype(np.uint8)}


def _seen(method: Method, probe: Probe, normalise: Normalisation, view: str, position: int | None) -> dict[str, Tensor]:
    """Every layer of one view, in the mode that the method is in, by `token/layer`."""
    if view == "augmented":
        found = _in_chunks(method.features, probe.views.flatten(0, 1))
        return {f"image/{layer}": value.view(*probe.views.shape[:2], -1) for layer, value in found.items()}
    softmaxes = method.softmaxes()
    if view == "clean":
        found = _in_chunks(method.features, probe.images, normalise, tokens=True)
    else:
        assert probe.drawn is not None
        found = _in_chunks(method.features, probe.drawn, tokens=True)
    return {
        f"{token}/{layer}": kept
        for layer, value in found.items()
        for token, kept in summarise(value, softmaxes.get(layer), position).items()
    }


def write_snapshot(
    path: Path,
    method: Method,
    probe: Probe,
    normalise: Normalisation,
    config: Snapshots,
    step: int,
    epoch: int,
    gradients: GradientStatistics,
    *,
    end: bool = False,
) -> None:
    """`end`: whether it is the run's first or last."""
    about = {
        "schema": SCHEMA,
        "step": step,
        "epoch": epoch,
        "method": method.name,
        "representation": method.representation,
        "loss_layers": list(method.loss_layers),
        "weight_layers": gradients.layers,
    }
    arrays = snapshot(method, probe, normalise, config.modes, config.tokens, end=end)
    save_arrays(path, arrays | gradients.arrays(), about)


def write_features(
    path: Path, method: Method, splits: dict[str, tuple[Tensor, NDArray[np.int64]]], normalise: Normalisation, step: int
) -> None:
    """One vector an image for whole splits {name: (images uint8, labels)}, at the layers that evaluation reads."""
    arrays: dict[str, NDArray[Any]] = {}
    for split, (images, labels) in splits.items():
        with evaluating(method):
            layers = _in_chunks(method.evaluated, images, normalise)
        for layer, value in layers.items():
            arrays[f"{split}/{layer}"] = value.cpu().numpy()
        arrays[f"{split}/labels"] = labels
    save_arrays(
        path, arrays, {"schema": SCHEMA, "step": step, "method": method.name, "representation": method.representation}
    )


def calibrate_batch_norm(method: Method, images: Tensor, normalise: Normalisation) -> None:
    """Set the running statistics of batch norm to averages over clean training images.

    At initialisation they are mean 0 and variance 1, which no network of this kind has: a random initialisation measured
    with them would be another network. Training then moves them on as usual.
    """
    norms = [module for module in method.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the batches
    with evaluating(method):
        for norm in norms:
            norm.train()
        # Equal chunks: a short last one would count as much as a full one, and batch norm has no statistics of one image.
        for chunk in torch.tensor_split(images, -(-len(images) // CHUNK)):
            method.features(clean(chunk, normalise))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _in_chunks(
    read: Callable[[Tensor], dict[str, Tensor]],
    images: Tensor,
    normalise: Normalisation | None = None,
    *,
    tokens: bool = False,
) -> dict[str, Tensor]:
    """`read` of all images, a chunk at a time; layers of tokens are averaged over an image's patches unless `tokens`.

    `normalise` is None for images that are normalised already.
    """
    parts: dict[str, list[Tensor]] = {}
    for chunk in torch.split(images, CHUNK):
        for layer, value in read(clean(chunk, normalise) if normalise else chunk).items():
            parts.setdefault(layer, []).append(value if tokens or value.ndim == 2 else value.mean(1))
    return {layer: torch.cat(chunks) for layer, chunks in parts.items()}
