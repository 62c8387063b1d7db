"""Networks that embed images: the product's own backbones, and timm models; weights from safetensors files only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from collapselab.config.base import choose, nearest
from collapselab.config.training import BACKBONES, Backbone, ViT
from collapselab.diagnose.arrays import open_file
from collapselab.errors import UserError

TIMM = "timm:"
# What our methods call their backbone -> the layer's name; plain weights of a backbone have no prefix.
PREFIXES = {
    "": "representation",
    "backbone.": "representation",
    "student.0.": "student.representation",
    "teacher.0.": "teacher.representation",
    "target.0.": "target.representation",
}

State = dict[str, Tensor]
Params = Callable[[], Mapping[str, Any] | None]
Outputs = tuple[Tensor, Tensor | None]  # representation [N, d], patch tokens [N, T, d]


@dataclass(frozen=True)
class Network:
    """A network that can be asked for features.

    Attributes:
        layers: layer -> trained weights of the backbone.
        make: a backbone with fresh weights, from torch's global generator.
        load: puts weights into such a backbone, strictly.
        read: backbone and normalised images [N, 3, size, size] -> their representation and patch tokens.
        size: of the images, pixels.
        normalisation: mean and std that the network was trained with, on a 0 to 1 scale; None where nobody knows.
    """

    layers: dict[str, State]
    make: Callable[[], nn.Module]
    load: Callable[[nn.Module, State], None]
    read: Callable[[nn.Module, Tensor], Outputs]
    size: int
    normalisation: tuple[list[float], list[float]] | None = None


def open_network(weights: Path, backbone: str, params: Params, size: int = 0) -> Network:
    """The network that `backbone` describes, with the weights of a safetensors file.

    Args:
        backbone: a name from `backbones` of the params, a YAML mapping such as '{architecture: resnet, ...}', or timm:NAME.
        params: reads the study's params where `backbone` is a name; gives None where there are none.
        size: side of the images in pixels; 0 for the network's own.

    Raises UserError where the description is wrong, the weights don't fit or timm is missing.
    """
    if weights.suffix.lower() != ".safetensors":
        open_file(weights)  # its own message for what is missing, pickled or of another format
        raise UserError(f"--weights {weights}: weights are read from .safetensors files")
    file = open_file(weights)
    state = {name: torch.from_numpy(array.copy()) for name, array in file.arrays.items() if array.dtype.kind != "V"}
    if backbone.startswith(TIMM):
        return _timm(weights, backbone.removeprefix(TIMM), state, size)
    return _own(weights, _config(backbone, params), state, size)


def _config(backbone: str, params: Params) -> Backbone:
    where = "--backbone"
    if backbone.lstrip().startswith("{"):
        try:
            described = yaml.safe_load(backbone)
        except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date or number that is none
            raise UserError(f"--backbone {backbone}: not valid YAML: {' '.join(str(error).split())}") from error
        return choose(BACKBONES, described, "architecture", where)
    ways = "or describe it, '{architecture: resnet, widths: [64, 128], blocks: [2, 2]}', or take timm:NAME"
    found = params()
    if found is None:
        raise UserError(f"--backbone {backbone}: names come from params.yaml, and there is none here: go there, {ways}")
    known = found.get("backbones") or {}
    if backbone not in known:
        raise UserError(f"--backbone {backbone}: not in `backbones` of params.yaml; {nearest(backbone, known)}; {ways}")
    return choose(BACKBONES, known[backbone], "architecture", f"params.yaml: backbones.{backbone}")


# ---- our own


def _own(weights: Path, config: Backbone, state: State, size: int) -> Network:
    from collapselab.backbones import build, pooled

    layers = _parts(state)
    side = _side(config, layers, size)
    names = build(config, side).state_dict().keys()
    fitting = {layer: part for layer, part in layers.items() if names <= part.keys()}
    if not fitting:
        best = max(layers.values(), key=lambda part: len(names & part.keys()), default={})
        missing = [name for name in names if name not in best]
        raise UserError(
            f"--weights {weights}: no such backbone in it, {len(missing)} of {len(names)} arrays are missing, "
            f"for example {missing[0]}: check --backbone"
        )

    def load(module: nn.Module, part: State) -> None:
        _load(weights, module, {name: part[name] for name in names})

    def read(module: nn.Module, images: Tensor) -> Outputs:
        output: Tensor = module(images)
        return pooled(output), output[:, 1:] if output.ndim == 3 else None

    return Network(fitting, lambda: build(config, side), load, read, side)


def _parts(state: State) -> dict[str, State]:
    """Layer -> the weights under its prefix; heads and other parts stay out, since `load` takes the backbone's names only."""
    found: dict[str, State] = {}
    for prefix, layer in PREFIXES.items():
        part = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        if part and (prefix or not any(name.startswith(other) for name in state for other in PREFIXES if other)):
            found[layer] = part
    return found


def _side(config: Backbone, layers: Mapping[str, State], size: int) -> int:
    """The size that the weights' position embeddings were made for; 32 where any will do."""
    if not isinstance(config, ViT):
        return size or 32
    own = [part["positions"].shape[1] - 1 for part in layers.values() if "positions" in part]
    side = round(own[0] ** 0.5) * config.patch if own else size or 32
    if size and size != side:
        raise UserError(f"--size {size}: this ViT's positions are those of images of {side} pixels: leave --size out")
    return side


def _load(weights: Path, module: nn.Module, state: State) -> None:
    try:
        module.load_state_dict(state, strict=True)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        raise UserError(
            f"--weights {weights} are not those of --backbone: {lines[0]}{more}. Check its widths, depth and patch"
        ) from error


# ---- timm


def _timm(weights: Path, name: str, state: State, size: int) -> Network:
    from collapselab.backbones.timm import create, read

    def make() -> nn.Module:
        return create(name, f"--backbone timm:{name}", size)

    probe = make()
    config: dict[str, Any] = dict(getattr(probe, "pretrained_cfg", {}) or {})
    heads = config.get("classifier") or "head"
    heads = (heads,) if isinstance(heads, str) else tuple(heads)
    trained = {
        key: value
        for key, value in state.items()
        if not key.startswith(tuple(f"{head}." for head in heads)) or key in probe.state_dict()
    }
    normalisation = (list(config.get("mean", ())), list(config.get("std", ())))
    return Network(
        layers={"representation": trained},
        make=make,
        load=lambda module, part: _load(weights, module, part),
        read=read,
        size=size or int(config.get("input_size", (3, 224, 224))[-1]),
        normalisation=normalisation if all(normalisation) else None,
    )
