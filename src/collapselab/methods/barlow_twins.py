"""Barlow Twins: Self-Supervised Learning via Redundancy Reduction (Zbontar et al., arXiv 2103.03230)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from collapselab.backbones import Backbone
from collapselab.config.base import Count, PositiveFloat
from collapselab.config.training import BatchSize, Optimiser, Regime, Schedule
from collapselab.methods.base import Gather, Guard, Outputs, identity
from collapselab.methods.joint_embedding import JointEmbedding


class BarlowTwinsConfig(Regime):
    """Published: lambda .0051; for CIFAR-10 (solo-learn) projector 2048-2048, loss times .1, LARS .3, weight decay 1e-4."""

    method: Literal["barlow_twins"]
    optimiser: Optimiser = Optimiser(name="lars", learning_rate=0.3, weight_decay=1e-4, trust=0.02, clip=True)
    schedule: Schedule = Schedule(warmup=0.01)
    batch_size: BatchSize = 256
    projector: list[Count] = Field(
        [2048, 2048], min_length=1, description="widths of the projector's layers, the last the embedding's"
    )
    decorrelation: Annotated[float, Field(ge=0)] = Field(
        0.0051, description="weight of the squared correlations between dimensions (lambda)"
    )
    scale: PositiveFloat = Field(0.1, description="factor on the whole loss")


class BarlowTwins(JointEmbedding):
    """sum over i of (1 - C_ii)^2 + lambda sum over i != j of C_ij^2, C the two views' cross-correlation (equations 1 and 2).

    C is equation 2's, a correlation over the batch. The paper's algorithm 1 divides by the unbiased standard deviation and by
    N, which makes it smaller by (N - 1) / N.
    """

    name: ClassVar[str] = "barlow_twins"
    Config: ClassVar[type[BarlowTwinsConfig]] = BarlowTwinsConfig
    guards: ClassVar[tuple[Guard, ...]] = (
        Guard(
            "decorrelation",
            parameter="decorrelation",
            off=0.0,
            expected={"embedding": ["dimensional"]},
            source="equation 1: without the second term, dimensions that repeat each other cost nothing; Zbontar et al. 2021, "
            "ablation of the loss: the invariance term alone still learns (57.3 %), so nothing is complete",
        ),
    )

    def __init__(self, config: BarlowTwinsConfig, backbone: Backbone, classes: int) -> None:
        super().__init__(backbone, config.projector)
        self.config = config

    def loss(self, outputs: Outputs, gather: Gather = identity) -> dict[str, Tensor]:
        correlation = cross_correlation(gather(outputs["z1"]), gather(outputs["z2"]))
        diagonal = correlation.diagonal()
        invariance = (1 - diagonal).square().sum()
        redundancy = correlation.square().sum() - diagonal.square().sum()
        loss = self.config.scale * (invariance + self.config.decorrelation * redundancy)
        return {"loss": loss, "invariance": invariance, "redundancy": redundancy}


def cross_correlation(z1: Tensor, z2: Tensor) -> Tensor:
    """C [d, d]: the correlation over the batch of each dimension of z1 [N, d] with each of z2 (equation 2)."""
    first, second = (F.normalize(z - z.mean(0), dim=0) for z in (z1, z2))
    return first.T @ second
