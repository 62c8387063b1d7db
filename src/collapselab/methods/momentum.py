"""Targets that follow the trained network as a moving average of its weights: how fast, and what BYOL and MoCo v3 share."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from collapselab.backbones import Backbone, pooled
from collapselab.config.base import Count
from collapselab.config.training import EMA, Regime
from collapselab.methods.base import Outputs, Progress, Views
from collapselab.methods.heads import mlp
from collapselab.methods.joint_embedding import JointEmbedding

# Our choice for short runs, near the .22 of the default study's dino-tokens: from 100 steps on, slower than DINO's centre.
SCALED = EMA(half_life=0.2)


def follower(*networks: nn.Module) -> nn.Sequential:
    """A copy of the networks in a row that no gradient reaches."""
    target = nn.Sequential(*(copy.deepcopy(network) for network in networks))
    target.requires_grad_(False)
    return target


def kept(ema: EMA, progress: Progress) -> float:
    """The share of the average that this step keeps: on the way from `start` to `end`, or what the half-life asks for."""
    if ema.half_life is not None:
        return float(0.5 ** (1 / (ema.half_life * progress.steps)))
    assert ema.start is not None and ema.end is not None  # the config holds one or the other
    if ema.curve == "linear":
        return ema.start + (ema.end - ema.start) * progress.fraction
    return cosine_between(ema.start, ema.end, progress.fraction)


def cosine_between(start: float, end: float, fraction: float) -> float:
    """Half a cosine from start (fraction 0) to end (fraction 1): DINO's and BYOL's schedule for the EMA rate."""
    return end + (start - end) * (1 + float(torch.cos(torch.tensor(torch.pi * fraction, dtype=torch.float64)))) / 2


@torch.no_grad()
def move_towards(target: nn.Module, source: nn.Module, keep: float) -> None:
    """target = keep * target + (1 - keep) * source, for parameters; buffers are copied."""
    torch._foreach_lerp_([*target.parameters()], [*source.parameters()], 1 - keep)
    buffers = [*target.buffers()]
    if buffers:
        torch._foreach_copy_(buffers, [*source.buffers()])


class MomentumRegime(Regime):
    """What a regime with a predictor and a momentum target names."""

    scaled: ClassVar[dict[str, Any]] = {"ema": SCALED}

    projector: list[Count] = Field(
        [4096, 256], min_length=1, description="widths of the projector's layers, the last the embedding's"
    )
    predictor: Literal["mlp", "identity"] = Field("mlp", description="identity: none")
    predictor_hidden: Count = Field(4096, description="hidden width of the predictor")
    target: Literal["ema", "online"] = Field(
        "ema", description="online: the weights of the last step, a moving average of rate 0; still without gradient"
    )
    ema: EMA = EMA(start=0.99, end=1.0)


class MomentumPair(JointEmbedding):
    """An online network with a predictor and a target without one.

    `forward` gives the predictions p1 and p2 of two views of each image, and the target's embeddings z1 and z2, [N, d] each.
    `stop_gradient` false makes the online network itself the target, with gradient.
    """

    def __init__(
        self, config: MomentumRegime, backbone: Backbone, *, last_norm: bool = False, stop_gradient: bool = True
    ) -> None:
        super().__init__(backbone, config.projector, last_norm=last_norm)
        width = config.projector[-1]
        self.predictor = mlp([width, config.predictor_hidden, width]) if config.predictor == "mlp" else nn.Identity()
        self.target = follower(self.backbone, self.projector)
        self.stop_gradient = stop_gradient
        self.average = config.ema if config.target == "ema" and stop_gradient else None

    def forward(self, views: Views) -> Outputs:
        outputs = super().forward(views)
        predictions = {"p1": self.predictor(outputs["z1"]), "p2": self.predictor(outputs["z2"])}
        if not self.stop_gradient:
            return outputs | predictions
        with torch.no_grad():
            first, second = (self._targets(view) for view in views.images["view"])
        return predictions | {"z1": first, "z2": second}

    def after_step(self, progress: Progress) -> dict[str, float]:
        keep = 0.0 if self.average is None else kept(self.average, progress)
        move_towards(self.target, nn.Sequential(self.backbone, self.projector), keep)
        return {"ema": keep}

    def _targets(self, images: Tensor) -> Tensor:
        embeddings: Tensor = self.target[1](pooled(self.target[0](images)))
        return embeddings
