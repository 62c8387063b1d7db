"""VICReg: Variance-Invariance-Covariance Regularization (Bardes et al., arXiv 2105.04906)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from collapselab.backbones import Backbone
from collapselab.config.base import Count
from collapselab.config.training import BatchSize, Optimiser, Regime, Schedule
from collapselab.methods.base import Gather, Guard, Outputs, identity
from collapselab.methods.joint_embedding import JointEmbedding

EPSILON = 1e-4  # inside the square root of the variance term (section 4.1)
Weight = Annotated[float, Field(ge=0)]


class VICRegConfig(Regime):
    """Published: weights 25, 25, 1; for CIFAR-10 (solo-learn) projector 2048-2048-2048, LARS .3, weight decay 1e-4."""

    method: Literal["vicreg"]
    optimiser: Optimiser = Optimiser(name="lars", learning_rate=0.3, weight_decay=1e-4, trust=0.02, clip=True)
    schedule: Schedule = Schedule(warmup=0.01)
    batch_size: BatchSize = 256
    projector: list[Count] = Field(
        [2048, 2048, 2048], min_length=1, description="widths of the projector's layers, the last the embedding's"
    )
    invariance: Weight = Field(25.0, description="weight of the squared distance between views (lambda)")
    variance: Weight = Field(25.0, description="weight of the hinge on each dimension's std (mu)")
    covariance: Weight = Field(1.0, description="weight of the squared off-diagonal covariances (nu)")


class VICReg(JointEmbedding):
    """lambda s(Z, Z') + mu (v(Z) + v(Z')) + nu (c(Z) + c(Z')) (equation 6).

    s is the mean squared difference over images and dimensions, as in the paper's algorithm 1, for which its weights are
    given; equation 5 sums over the dimensions. v and c of the two views are added, as there, not averaged.
    """

    name: ClassVar[str] = "vicreg"
    Config: ClassVar[type[Regime]] = VICRegConfig
    guards: ClassVar[tuple[Guard, ...]] = (
        Guard(
            "variance",
            parameter="variance",
            off=0.0,
            expected={"embedding": ["complete"]},
            source="Bardes et al. 2022, table 7: without the variance term the network collapses",
        ),
        Guard(
            "covariance",
            parameter="covariance",
            off=0.0,
            expected={"embedding": ["dimensional"]},
            source="Bardes et al. 2022, section 4.1: the term decorrelates the dimensions and prevents an informational collapse",
        ),
    )

    def __init__(self, config: VICRegConfig, backbone: Backbone, classes: int) -> None:
        super().__init__(backbone, config.projector)
        self.config = config

    def loss(self, outputs: Outputs, gather: Gather = identity) -> dict[str, Tensor]:
        invariance = F.mse_loss(outputs["z1"], outputs["z2"])
        z1, z2 = gather(outputs["z1"]), gather(outputs["z2"])
        variance = variance_term(z1) + variance_term(z2)
        covariance = covariance_term(z1) + covariance_term(z2)
        weights = self.config
        loss = weights.invariance * invariance + weights.variance * variance + weights.covariance * covariance
        return {"loss": loss, "invariance": invariance, "variance": variance, "covariance": covariance}


def variance_term(z: Tensor) -> Tensor:
    """v(Z) = mean over the d dimensions of max(0, 1 - sqrt(Var(z_j) + 1e-4)), unbiased variance (equation 1)."""
    return F.relu(1 - torch.sqrt(z.var(0) + EPSILON)).mean()


def covariance_term(z: Tensor) -> Tensor:
    """c(Z) = sum of the squared off-diagonal entries of the unbiased covariance, divided by d (equations 3 and 4)."""
    centred = z - z.mean(0)
    covariance = centred.T @ centred / (len(z) - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / z.shape[1]
