"""The step that gave a loss of NaN or infinity, in a file: what it saw, what it began with, and a way to run it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from collapselab.config.base import choose
from collapselab.config.training import BACKBONES
from collapselab.errors import UserError
from collapselab.files import Arrays, load_about, load_arrays, save_arrays
from collapselab.methods import METHODS, build
from collapselab.methods.base import Method, Views
from collapselab.training.checkpoints import collect_method, restore_method
from collapselab.training.loop import begin, losses_of
from collapselab.training.process import prepare

SCHEMA = 1


@dataclass(frozen=True)
class Replay:
    """What one step gave.

    Attributes:
        losses: the loss and its terms.
        weights: parameters and buffers that were not finite before the step.
        module: the first module of the forward pass whose output is not finite, by its dotted name; None where the loss alone is.
    """

    regime: str
    seed: int
    step: int
    losses: dict[str, float]
    weights: list[str]
    module: str | None

    def lines(self) -> list[str]:
        """For a terminal."""
        found = [f"regime {self.regime}, seed {self.seed}, step {self.step}"]
        found += [f"  {name:<18}{value:g}" for name, value in self.losses.items()]
        if self.weights:
            found.append(f"not finite before the step: {', '.join(self.weights)}")
        broken = f"the first module whose output is not finite: {self.module}" if self.module else None
        return [*found, broken or "the output of every module is finite, the loss alone is not"]


def write_step(path: Path, config: Mapping[str, Any], classes: int, step: int, method: Method, views: Views) -> None:
    """Keep step `step` (counted from 1): `config` is the run's config.json; the images are kept as the method saw them."""
    arrays: Arrays = {**collect_method(method), "labels": views.labels.cpu().numpy()}
    for branch, images in views.images.items():
        arrays |= {f"images/{branch}/{number}": image.cpu().numpy() for number, image in enumerate(images)}
    arrays |= {f"masks/{name}": mask.cpu().numpy() for name, mask in views.masks.items()}
    save_arrays(path, arrays, {"schema": SCHEMA, "config": dict(config), "classes": classes, "step": step})


def replay(path: Path) -> Replay:
    """Run the step of `path` again, on the CPU: the forward pass and the loss, with the same weights, views and dropout.

    The process is prepared as for training: the run's number of threads, denormals flushed.

    Raises:
        UserError: a file that no run wrote, or a method that is there no more.
    """
    arrays, about = load_arrays(path), load_about(path)
    if about.get("schema") != SCHEMA or "config" not in about:
        raise UserError(f"{path} is no step that a run kept: such files are named when a loss is not finite")
    config = about["config"]
    names = {name: method.Config for name, method in METHODS.items()}
    regime = choose(names, config["config"], "method", f"{path}: config")
    backbone = choose(BACKBONES, config["backbone"], "architecture", f"{path}: backbone")
    prepare(config["threads"])
    views = _views(arrays)
    size = next(iter(views.images.values()))[0].shape[-1]
    method = build(regime, backbone, size, about["classes"])
    restore_method(arrays, method)
    weights = [name for name, value in method.state_dict().items() if not torch.isfinite(value).all()]
    broken: list[str] = []
    handles = [module.register_forward_hook(_watch(name, broken)) for name, module in method.named_modules() if name]
    with torch.no_grad():
        begin(method, config["seed"], about["step"] - 1)
        losses = losses_of(method, views)
    for handle in handles:
        handle.remove()
    values = {name: float(value) for name, value in losses.items()}
    return Replay(config["regime"], config["seed"], about["step"], values, weights, broken[0] if broken else None)


def _views(arrays: Arrays) -> Views:
    images: dict[str, list[Tensor]] = {}
    for key in sorted(name for name in arrays if name.startswith("images/")):
        images.setdefault(key.split("/")[1], []).append(torch.from_numpy(arrays[key]))
    masks = {key.removeprefix("masks/"): torch.from_numpy(arrays[key]) for key in arrays if key.startswith("masks/")}
    return Views(images, torch.from_numpy(arrays["labels"]), masks)


def _watch(name: str, broken: list[str]) -> Any:
    """A hook that notes the module's name where its output is not finite; inner modules end, and so are noted, first."""

    def look(module: nn.Module, given: Any, output: Any) -> None:
        if isinstance(output, Tensor) and not torch.isfinite(output).all():
            broken.append(name)

    return look
