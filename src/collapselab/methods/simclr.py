"""SimCLR: A Simple Framework for Contrastive Learning of Visual Representations (Chen et al., arXiv 2002.05709)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from collapselab.backbones import Backbone
from collapselab.config.base import Count, PositiveFloat
from collapselab.config.training import Optimiser, Regime
from collapselab.methods.base import Gather, Guard, Outputs, identity
from collapselab.methods.joint_embedding import JointEmbedding


class SimCLRConfig(Regime):
    """Published for CIFAR-10 (solo-learn's 1000-epoch setting): projector 2048-256, temperature .2, rate .4, weight decay 1e-4."""

    method: Literal["simclr"]
    optimiser: Optimiser = Optimiser(name="sgd", learning_rate=0.4, weight_decay=1e-4)
    batch_size: int = Field(256, ge=2)
    projector: list[Count] = Field(
        [2048, 256], min_length=1, description="widths of the projector's layers, the last the embedding's"
    )
    temperature: PositiveFloat = 0.2
    negatives: bool = Field(True, description="false drops the denominator of the loss: attraction alone")


class SimCLR(JointEmbedding):
    """NT-Xent over the 2N views of a batch (equation 1)."""

    name: ClassVar[str] = "simclr"
    Config: ClassVar[type[Regime]] = SimCLRConfig
    guards: ClassVar[tuple[Guard, ...]] = (
        Guard(
            "negatives",
            parameter="negatives",
            off=False,
            expected={"embedding": ["complete"]},
            source="Wang and Isola 2020 (arXiv 2005.10242), section 4: alignment alone is minimised by a constant",
        ),
    )

    def __init__(self, config: SimCLRConfig, backbone: Backbone, classes: int) -> None:
        super().__init__(backbone, config.projector)
        self.config = config

    def loss(self, outputs: Outputs, gather: Gather = identity) -> dict[str, Tensor]:
        z1, z2 = (F.normalize(gather(outputs[name]), dim=-1) for name in ("z1", "z2"))
        attraction = -(z1 * z2).sum(-1).mean() / self.config.temperature
        if not self.config.negatives:
            return {"loss": attraction, "attraction": attraction}
        repulsion = log_denominator(torch.cat([z1, z2]), self.config.temperature)
        return {"loss": attraction + repulsion, "attraction": attraction, "repulsion": repulsion}


def log_denominator(z: Tensor, temperature: float) -> Tensor:
    """Mean over i of log sum over k != i of exp(<z_i, z_k> / temperature), for unit rows z [2N, d]."""
    similarity = z @ z.T / temperature
    return similarity.fill_diagonal_(-torch.inf).logsumexp(-1).mean()
