"""SimCLR: A Simple Framework for Contrastive Learning of Visual Representations (Chen et al., arXiv 2002.05709)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from collapselab.backbones import Backbone
from collapselab.config.base import Count
from collapselab.config.training import BatchSize, Optimiser, Regime, Schedule, Temperature
from collapselab.methods.base import Gather, Guard, Outputs, identity
from collapselab.methods.contrastive import nt_xent
from collapselab.methods.joint_embedding import JointEmbedding


class SimCLRConfig(Regime):
    """Published for CIFAR-10 (solo-learn's 1000-epoch setting): projector 2048-256, temperature .2, LARS .4, weight decay 1e-4."""

    method: Literal["simclr"]
    optimiser: Optimiser = Optimiser(name="lars", learning_rate=0.4, weight_decay=1e-4, trust=0.02, clip=True)
    schedule: Schedule = Schedule(warmup=0.01)
    batch_size: BatchSize = 256
    projector: list[Count] = Field(
        [2048, 256], min_length=1, description="widths of the projector's layers, the last the embedding's"
    )
    temperature: Temperature = 0.2
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
        z1, z2 = gather(outputs["z1"]), gather(outputs["z2"])
        return nt_xent(z1, z2, self.config.temperature, negatives=self.config.negatives)
