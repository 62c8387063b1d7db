"""MoCo v3: An Empirical Study of Training Self-Supervised Vision Transformers (Chen, Xie and He, arXiv 2104.02057)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from collapselab.backbones import Backbone
from collapselab.config.training import BatchSize, Optimiser, Schedule, Temperature
from collapselab.methods.base import Combination, Gather, Guard, Outputs, identity
from collapselab.methods.momentum import MomentumPair, MomentumRegime


class MoCoV3Config(MomentumRegime):
    """Published for CIFAR-10 (solo-learn's 1000-epoch setting): heads 4096-256, T .2, EMA .99 to 1, LARS .3, weight decay 1e-6."""

    method: Literal["moco_v3"]
    optimiser: Optimiser = Optimiser(name="lars", learning_rate=0.3, weight_decay=1e-6, trust=0.02, clip=True)
    schedule: Schedule = Schedule(warmup=0.01)
    batch_size: BatchSize = 256
    temperature: Temperature = 0.2
    negatives: bool = Field(True, description="false drops the denominator of the loss: attraction alone")


class MoCoV3(MomentumPair):
    """L = ctr(q1, k2) + ctr(q2, k1), queries predicted from one view, keys the target's of the other (algorithm 1).

    ctr(q, k) = -2 T mean over i of log exp(<q_i, k_i> / T) / sum over j of exp(<q_i, k_j> / T), for unit vectors. The keys of
    the batch are the negatives; there is no queue.
    """

    name: ClassVar[str] = "moco_v3"
    Config: ClassVar[type[MoCoV3Config]] = MoCoV3Config
    guards: ClassVar[tuple[Guard, ...]] = (
        Guard(
            "negatives",
            parameter="negatives",
            off=False,
            expected={"embedding": []},
            source="what is left is BYOL: Grill et al. 2020 (arXiv 2006.07733), section 3, whose predictor and target suffice",
        ),
        Guard(
            "EMA",
            parameter="target",
            off="online",
            expected={"embedding": []},
            source="Chen et al. 2021, section 5.1, ablation of the momentum encoder: 2.2 % worse at m = 0, no failure",
        ),
        Guard(
            "predictor",
            parameter="predictor",
            off="identity",
            expected={"embedding": []},
            source="Chen et al. 2021, section 5.1, ablation of the prediction head: about 1 % worse, no failure",
        ),
    )
    combinations: ClassVar[tuple[Combination, ...]] = (
        Combination(
            ("negatives", "predictor"),
            expected={"embedding": ["complete"]},
            source="what is left is BYOL without its predictor: Grill et al. 2020, table 5b",
        ),
    )

    def __init__(self, config: MoCoV3Config, backbone: Backbone, classes: int) -> None:
        super().__init__(config, backbone, last_norm=True)  # the projector for ResNets ends in a batch norm
        self.config = config

    def loss(self, outputs: Outputs, gather: Gather = identity) -> dict[str, Tensor]:
        q1, q2, k1, k2 = (F.normalize(outputs[name], dim=-1) for name in ("p1", "p2", "z1", "z2"))
        attraction = -2 * ((q1 * k2).sum(-1).mean() + (q2 * k1).sum(-1).mean())
        if not self.config.negatives:
            return {"loss": attraction, "attraction": attraction}
        repulsion = self._repulsion(q1, gather(k2)) + self._repulsion(q2, gather(k1))
        return {"loss": attraction + repulsion, "attraction": attraction, "repulsion": repulsion}

    def _repulsion(self, q: Tensor, keys: Tensor) -> Tensor:
        temperature = self.config.temperature
        return 2 * temperature * (q @ keys.T / temperature).logsumexp(-1).mean()
