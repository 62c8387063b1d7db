"""SimSiam: Exploring Simple Siamese Representation Learning (Chen and He, arXiv 2011.10566)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from collapselab.backbones import Backbone
from collapselab.config.base import Count, PositiveFloat
from collapselab.config.training import Backbone as BackboneConfig
from collapselab.config.training import BatchSize, Optimiser, Regime
from collapselab.errors import UserError
from collapselab.methods.base import Gather, Guard, Outputs, Views, identity
from collapselab.methods.heads import cosine, mlp
from collapselab.methods.joint_embedding import JointEmbedding


class SimSiamConfig(Regime):
    """Published for CIFAR-10 (appendix D): projector 2048-2048, predictor 512, SGD .03 * bs / 256, weight decay 5e-4."""

    method: Literal["simsiam"]
    optimiser: Optimiser = Optimiser(name="sgd", learning_rate=0.06, weight_decay=5e-4)
    batch_size: BatchSize = 512
    projector: list[Count] = Field(
        [2048, 2048], min_length=1, description="widths of the projector's layers, the last the embedding's"
    )
    predictor: Literal["mlp", "identity"] = Field("mlp", description="identity: none")
    predictor_hidden: Count = Field(512, description="hidden width of the predictor")
    predictor_rate: PositiveFloat = Field(1.0, description="factor on the predictor's learning rate")
    predictor_trained: bool = Field(True, description="false: the predictor keeps its random weights")
    batch_norm: bool = Field(True, description="false: no batch norm in projector and predictor")
    stop_gradient: bool = Field(True, description="whether the target branch is taken as a constant")


class SimSiam(JointEmbedding):
    """L = D(p1, stopgrad(z2)) / 2 + D(p2, stopgrad(z1)) / 2, D the negative cosine (equations 1 to 4)."""

    name: ClassVar[str] = "simsiam"
    Config: ClassVar[type[Regime]] = SimSiamConfig
    guards: ClassVar[tuple[Guard, ...]] = (
        Guard(
            "stop-gradient",
            parameter="stop_gradient",
            off=False,
            expected={"embedding": ["complete"]},
            source="Chen and He 2021, section 4.1 and figure 2: the loss falls to -1, the std of the normalised output to 0",
        ),
        Guard(
            "predictor",
            parameter="predictor",
            off="identity",
            expected={"embedding": ["complete"]},
            source="Chen and He 2021, section 4.2 and table 1a: 0.1 % without a predictor",
        ),
        Guard(
            "trained predictor",
            parameter="predictor_trained",
            off=False,
            expected={"embedding": []},
            source="Chen and He 2021, section 4.2 and table 1b: 1.5 %, but the loss stays high: not converged, not collapsed",
        ),
        Guard(
            "batch norm",
            parameter="batch_norm",
            off=False,
            expected={"embedding": []},
            source="Chen and He 2021, section 4.4 and table 3a: 34.6 %, hard to optimise but not collapsed",
        ),
    )

    def __init__(self, config: SimSiamConfig, backbone: Backbone, classes: int) -> None:
        norm = config.batch_norm
        super().__init__(backbone, config.projector, norm=norm, last_norm=norm)  # the published projector ends in one
        self.config = config
        width = config.projector[-1]
        widths = [width, config.predictor_hidden, width]
        self.predictor = mlp(widths, norm=norm) if config.predictor == "mlp" else nn.Identity()
        self.predictor.requires_grad_(config.predictor_trained)

    def forward(self, views: Views) -> Outputs:
        outputs = super().forward(views)
        return outputs | {"p1": self.predictor(outputs["z1"]), "p2": self.predictor(outputs["z2"])}

    def loss(self, outputs: Outputs, gather: Gather = identity) -> dict[str, Tensor]:
        z1, z2 = outputs["z1"], outputs["z2"]
        if self.config.stop_gradient:
            z1, z2 = z1.detach(), z2.detach()
        return {"loss": (-cosine(outputs["p1"], z2) - cosine(outputs["p2"], z1)) / 2}

    def parameter_groups(self) -> list[dict[str, Any]]:
        body = [*self.backbone.parameters(), *self.projector.parameters()]
        groups: list[dict[str, Any]] = [{"params": body}]
        if self.config.predictor == "mlp" and self.config.predictor_trained:
            groups.append({"params": list(self.predictor.parameters()), "rate": self.config.predictor_rate})
        return groups

    @classmethod
    def check(cls, config: Regime, backbone: BackboneConfig, where: str) -> None:
        assert isinstance(config, SimSiamConfig)
        if config.predictor == "identity" and not config.predictor_trained:
            raise UserError(f"{where}.predictor_trained = False: there is nothing to train in predictor = 'identity'")
