"""The interface between a method and everything else.

A step is `views(batch) -> forward(views) -> loss(outputs)`, then the optimiser's, then `after_step`. What fits and how:

- Two views (SimSiam, SimCLR, Barlow Twins, VICReg): `branches = {"view": 2}`; `forward` runs the networks, `loss` is the paper's
  formula. `joint_embedding` holds what they share.
- A target that follows the trained network (BYOL, MoCo v3, DINO, I-JEPA): `momentum.follower` makes it, `move_towards` moves it
  in `after_step`, at the rate of an `EMA`; `MomentumPair` is BYOL's and MoCo v3's pair of networks.
- Two branches that see different things (token distillation): `branches = {"student": 1, "teacher": 1}`.
- A loss on a part of the representation (DirectCLR): `forward` returns that part as the embedding; no projector.
- Masks (I-JEPA): one view; `views` is overridden to draw them from `batch.uniforms(purpose, columns)`, so that they are addressed
  by image like every other draw; `forward` reads `views.masks`, the ViT encodes a subset of its patches (`visible`), the
  predictor is a submodule of the method. MAE fits the same way; its decoder is still to be written.
- MultiCrop (DINO, SwAV): `branches = {"global": 2, "local": 6}`; the backbone is run once for each size. Still missing for it:
  an output size of `Crop`, and positions of the ViT that follow it.
- EMA networks, centres, queues: buffers and submodules of the method, changed in `after_step` or `after_epoch` and so in its
  state_dict; what the optimiser must not touch has `requires_grad = False`.
- Losses over the global batch take `gather`, which brings in the other ranks' embeddings with gradient; identity by default.
- Labels reach the loss through `outputs`; only supervised methods read them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor, nn

from collapselab.config.base import nearest
from collapselab.config.training import BACKBONES, Backbone, Regime
from collapselab.data.loader import Batch
from collapselab.errors import UserError

Outputs = dict[str, Tensor]
Gather = Callable[[Tensor], Tensor]


def identity(x: Tensor) -> Tensor:
    return x


@dataclass(frozen=True)
class Views:
    """What `forward` sees."""

    images: Mapping[str, list[Tensor]]
    labels: Tensor
    masks: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Guard:
    """What keeps a method from collapse, and what is expected without it.

    Attributes:
        parameter: the config key that switches the guard off when set to `off` (`=key`: to the value of that key).
        expected: by layer, the kinds of collapse that switching it off alone, with every other guard on, brings (none: []).
        source: paper and place that predict it.
    """

    name: str
    parameter: str
    off: Any
    expected: Mapping[str, list[str]]
    source: str

    def is_off(self, config: Regime) -> bool:
        off = getattr(config, self.off[1:]) if isinstance(self.off, str) and self.off.startswith("=") else self.off
        return bool(getattr(config, self.parameter) == off)


@dataclass(frozen=True)
class Combination:
    """Guards, by name, that bring something else when they are off together than each of them alone."""

    guards: tuple[str, ...]
    expected: Mapping[str, list[str]]
    source: str


@dataclass(frozen=True)
class Softmax:
    """How a layer becomes probabilities in the method's own loss: softmax((x - centre) / temperature)."""

    temperature: float | Tensor = 1.0
    centre: Tensor | None = None

    def to_cpu(self) -> Softmax:
        return Softmax(self.temperature, None if self.centre is None else self.centre.cpu())

    def __call__(self, logits: Tensor) -> Tensor:
        """[..., K] -> [..., K], rows sum to one."""
        shifted = logits if self.centre is None else logits - self.centre
        return (shifted / self.temperature).softmax(-1)


@dataclass(frozen=True)
class Progress:
    """The place in a run: steps taken, and steps in all."""

    step: int
    steps: int

    @property
    def fraction(self) -> float:
        return self.step / self.steps


class Method(nn.Module, ABC):
    """A self-supervised method: networks, loss, state and guards."""

    name: ClassVar[str]
    Config: ClassVar[type[Regime]]
    branches: ClassVar[Mapping[str, int]]  # branch -> number of views
    guards: ClassVar[tuple[Guard, ...]] = ()
    combinations: ClassVar[tuple[Combination, ...]] = ()
    supervised: ClassVar[bool] = False  # labels keep the outputs apart: a supervised method needs no guards
    # Layers: what evaluation reads (representation first), and where the loss acts, by `features`' names.
    representation: ClassVar[str] = "representation"
    loss_layers: ClassVar[tuple[str, ...]] = ("embedding",)

    @abstractmethod
    def forward(self, views: Views) -> Outputs:
        """Run the networks; the names in Outputs are the method's own."""

    @abstractmethod
    def loss(self, outputs: Outputs, gather: Gather = identity) -> dict[str, Tensor]:
        """Scalars; "loss" is minimised, the others are its terms, for the record."""

    @abstractmethod
    def features(self, images: Tensor) -> dict[str, Tensor]:
        """Named layers of clean images [N, 3, H, W]: vectors [N, d], or patch tokens [N, T, d]. Called without gradient."""

    def evaluated(self, images: Tensor) -> dict[str, Tensor]:
        """The layers whose features of all train and test images are kept: the representation and the loss's by default."""
        layers = self.features(images)
        return {name: layers[name] for name in (self.representation, *self.loss_layers)}

    def views(self, batch: Batch) -> Views:
        return Views(batch.images, batch.labels)

    def softmaxes(self) -> dict[str, Softmax]:
        """The layers that the loss reads through a softmax."""
        return {}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups with `params` and optionally `rate`, a factor on the learning rate. Default: all that need a gradient."""
        return [{"params": [p for p in self.parameters() if p.requires_grad]}]

    def after_step(self, progress: Progress) -> dict[str, float]:
        """Change the state (EMA, centre) after the optimiser's step; returns what the history should record."""
        return {}

    def after_epoch(self) -> None:
        """Change the state at an epoch's end."""

    @classmethod
    def check(cls, config: Regime, backbone: Backbone, where: str) -> None:
        """Raise UserError for a combination of keys that the method can't run."""

    @classmethod
    def switched_off(cls, config: Regime) -> list[Guard]:
        """The guards that this regime does without."""
        return [guard for guard in cls.guards if guard.is_off(config)]

    @classmethod
    def expected(cls, config: Regime) -> Mapping[str, list[str]] | None:
        """What is declared for the guards that this regime does without, by layer; None where nothing is for that set of them."""
        off = [guard.name for guard in cls.switched_off(config)]
        declared: list[tuple[tuple[str, ...], Mapping[str, list[str]]]]
        declared = [((guard.name,), guard.expected) for guard in cls.guards]
        declared += [(combination.guards, combination.expected) for combination in cls.combinations]
        return next((expected for names, expected in declared if sorted(names) == sorted(off)), None)


def need_architecture(config: Regime, backbone: Backbone, architecture: str, where: str) -> None:
    if backbone.architecture != architecture:
        raise UserError(
            f"{where}.backbone = {config.backbone!r}: a {backbone.architecture}, but {config.method} needs a {architecture}; "
            + nearest(architecture, BACKBONES)
        )
