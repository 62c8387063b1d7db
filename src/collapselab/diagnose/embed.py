"""Images through a network -> the evidence about its representation, beside that of the same network untrained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.snapshot import Snapshot
from collapselab.collapse.token_sums import TokenSums
from collapselab.config.base import nearest, validate
from collapselab.config.data import Branch, Crop, Jitter
from collapselab.console import progress
from collapselab.data.augment import Normalisation, augment, clean, width
from collapselab.data.dataset import channel_statistics
from collapselab.diagnose.images import CHUNK, Images, open_images
from collapselab.diagnose.inputs import Subject
from collapselab.diagnose.networks import Network, open_network
from collapselab.errors import UserError
from collapselab.files import read_json
from collapselab.randomness import torch_seed, uniforms

FRESH = ""  # the untrained network, beside the layers' names
VIEWED, VIEWS = 256, 4  # images seen through the augmentation, and draws of each
TOKENED = 256  # images whose tokens are kept
# Where the run's own augmentation is not known: the crops and colours that most methods share, on the mild side.
AUGMENTATION = Branch(
    crop=Crop(scale=(0.4, 1.0)), jitter=Jitter(brightness=0.4, contrast=0.4, saturation=0.2), flip=0.5
)


@dataclass(frozen=True)
class Setting:
    """How images reach the network, and in which words that is reported."""

    images: Images
    normalise: Normalisation
    augmentation: Branch
    notes: tuple[str, ...]


def embed(weights: Path, backbone: str, data: Path, layer: str = "", size: int = 0, most: int = 0) -> Subject:
    """Embed an image folder in eval mode, with trained weights and with fresh ones.

    Args:
        weights: a safetensors file; the run's config.json beside it tells normalisation and augmentation, where it is there.
        backbone: see `networks.open_network`. data: a folder of images, whose subfolders are their labels.
        layer: one of the networks in the weights (a student, a teacher); empty for all.
        size: side of the images, pixels; 0 for the network's own. most: images taken at most, 0 for all.

    Raises UserError for weights that don't fit, a folder without images, an image that can't be read.
    """
    network = open_network(weights, backbone, _params, size)
    if layer and layer not in network.layers:
        raise UserError(f"--layer {layer}: not in {weights}; {nearest(layer, network.layers)}")
    layers = [layer] if layer else list(network.layers)
    setting = _setting(open_images(data, network.size, most), network, weights)
    modules = {FRESH: _fresh(network)} | {name: network.make() for name in layers}
    for name in layers:
        network.load(modules[name], network.layers[name])
    found = _seen(network, modules, setting)
    untrained = Snapshot(0, layers[0], tuple(layers), dict.fromkeys(layers, found.pop(FRESH)))
    return Subject(
        name=f"{weights.name} on {data.name}",
        snapshot=Snapshot(0, layers[0], tuple(layers), found).beside(untrained),
        start=untrained,
        notes=setting.notes,
    )


def _params() -> Mapping[str, Any] | None:
    """params.yaml of the repository that we are in, if there is one. Raises UserError where it can't be read."""
    from collapselab.config.study import PARAMS, read_params
    from collapselab.tracking import find_root

    try:
        path = find_root() / PARAMS
    except UserError:
        return None
    return read_params(path) if path.exists() else None


def _fresh(network: Network) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(0, "diagnose/weights"))
        return network.make()


def _setting(images: Images, network: Network, weights: Path) -> Setting:
    """Normalisation and augmentation from the run's config.json, from the model, or by default; said in the notes."""
    path = weights.parent / "config.json"
    run = read_json(path) if path.is_file() else {}
    known = run if isinstance(run, dict) else {}
    if "normalisation" in known:
        mean, std = known["normalisation"]["mean"], known["normalisation"]["std"]
        source = "the run's"
    elif network.normalisation:
        (mean, std), source = network.normalisation, "the model's"
    else:
        mean, std = channel_statistics(images.read(np.arange(min(images.count, 1000))))
        source = "these images'"
    branch, whose = AUGMENTATION, "a default augmentation, for want of the run's config.json"
    if "augmentation" in known:
        branches = [validate(Branch, entry, f"{path}: augmentation") for entry in known["augmentation"].values()]
        branch, whose = max(branches, key=width), "the run's own augmentation"
    return Setting(
        images,
        Normalisation.of(list(mean), list(std)),
        branch,
        (
            f"embedded {images.note}, in eval mode, normalised with {source} mean and std; graded against the same network with "
            f"fresh random weights; views: {VIEWS} draws of {min(VIEWED, images.count)} images through {whose}",
        ),
    )


@torch.no_grad()
def _seen(network: Network, modules: Mapping[str, nn.Module], setting: Setting) -> dict[str, Evidence]:
    """What each network makes of the same images, which are decoded and augmented once for all of them."""
    for module in modules.values():
        module.eval()
    _calibrate(modules[FRESH], setting)
    seen = {name: _Seen([], [], []) for name in modules}
    images, done = setting.images, 0
    with progress("embedding images") as advance:
        for chunk in images.chunks():
            raw = torch.from_numpy(chunk)
            views = _views(raw, done, setting)
            for name, module in modules.items():
                seen[name].add(network, module, clean(raw, setting.normalise), views, done)
            done += len(chunk)
            advance(done, images.count)
    return {name: parts.evidence(images.labels) for name, parts in seen.items()}


@dataclass(frozen=True)
class _Seen:
    """Chunks of one network's outputs: vectors of all images, views and tokens of the first ones."""

    vectors: list[NDArray[Any]]
    views: list[NDArray[Any]]
    tokens: list[NDArray[Any]]

    def add(self, network: Network, module: nn.Module, images: Tensor, views: Sequence[Tensor], start: int) -> None:
        vectors, tokens = network.read(module, images)
        self.vectors.append(vectors.numpy())
        if tokens is not None and start < TOKENED:
            self.tokens.append(tokens[: TOKENED - start].numpy())
        if views:
            self.views.append(torch.stack([network.read(module, view)[0] for view in views], 1).numpy())

    def evidence(self, labels: NDArray[np.int64] | None) -> Evidence:
        tokens = TokenSums.of(np.concatenate(self.tokens)) if self.tokens else None
        return Evidence(np.concatenate(self.vectors), np.concatenate(self.views), labels, tokens=tokens)


def _views(raw: Tensor, start: int, setting: Setting) -> list[Tensor]:
    """VIEWS draws of those of the images that are among the first VIEWED; `start` is the first one's number."""
    raw, branch = raw[: max(0, VIEWED - start)], setting.augmentation
    if not len(raw):
        return []
    tables = [
        uniforms(0, f"diagnose/{view}", 0, VIEWED, width(branch))[start : start + len(raw)] for view in range(VIEWS)
    ]
    return [augment(raw, torch.from_numpy(table), branch, setting.normalise) for table in tables]


def _calibrate(module: nn.Module, setting: Setting) -> None:
    """Batch norm of fresh weights has statistics that no network of its kind has: take those of these images."""
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average
        norm.train()
    batch: Tensor = clean(
        torch.from_numpy(setting.images.read(np.arange(min(setting.images.count, 2 * CHUNK)))), setting.normalise
    )
    module(batch)
    module.eval()
