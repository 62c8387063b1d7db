"""BYOL: Bootstrap your own latent (Grill et al., arXiv 2006.07733)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from collapselab.backbones import Backbone
from collapselab.config.training import BatchSize, Optimiser, Schedule
from collapselab.methods.base import Gather, Guard, Outputs, identity
from collapselab.methods.heads import cosine
from collapselab.methods.momentum import MomentumPair, MomentumRegime


class BYOLConfig(MomentumRegime):
    """Published for CIFAR-10 (solo-learn's 1000-epoch setting): heads 4096-256, EMA .99 to 1, LARS 1.0, weight decay 1e-5."""

    method: Literal["byol"]
    optimiser: Optimiser = Optimiser(name="lars", learning_rate=1.0, weight_decay=1e-5, trust=0.02, clip=True)
    schedule: Schedule = Schedule(warmup=0.01)
    batch_size: BatchSize = 256
    stop_gradient: bool = Field(True, description="false: the target is the online network itself, with gradient")


class BYOL(MomentumPair):
    """L = ||p1 / |p1| - z2 / |z2| ||^2 + ||p2 / |p2| - z1 / |z1| ||^2, z the target's (equations 2 and 3)."""

    name: ClassVar[str] = "byol"
    Config: ClassVar[type[BYOLConfig]] = BYOLConfig
    guards: ClassVar[tuple[Guard, ...]] = (
        Guard(
            "predictor",
            parameter="predictor",
            off="identity",
            expected={"embedding": ["complete"]},
            source="Grill et al. 2020, table 5b: with a target network and without a predictor accuracy is at chance",
        ),
        Guard(
            "stop-gradient",
            parameter="stop_gradient",
            off=False,
            expected={"embedding": ["complete"]},
            source="Chen and He 2021 (arXiv 2011.10566), section 4.1: with shared weights and gradient the loss falls to its "
            "minimum at a constant, predictor or not; Tian et al. 2021 (arXiv 2102.06810), section 3.1, derives it",
        ),
        Guard(
            "EMA",
            parameter="target",
            off="online",
            expected={"embedding": []},
            source="disputed: Grill et al. 2020, table 5a, report 0.3 % at a rate of 0, but table 21 that a faster predictor "
            "makes up for it; Chen and He 2021, section 4.1 and table 4: no collapse without a momentum encoder",
        ),
    )

    def __init__(self, config: BYOLConfig, backbone: Backbone, classes: int) -> None:
        super().__init__(config, backbone, stop_gradient=config.stop_gradient)
        self.config = config

    def loss(self, outputs: Outputs, gather: Gather = identity) -> dict[str, Tensor]:
        pairs = (("p1", "z2"), ("p2", "z1"))
        # ||u - v||^2 = 2 - 2 <u, v> for unit vectors.
        distances = (2 - 2 * cosine(outputs[p], outputs[z]) for p, z in pairs)
        return {"loss": sum(distances, outputs["p1"].new_zeros(()))}
