"""Supervised cross-entropy: the upper end of every table, not a self-supervised method."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from collapselab.backbones import Backbone, pooled
from collapselab.config.training import BatchSize, Optimiser, Regime
from collapselab.methods.base import Gather, Method, Outputs, Softmax, Views, identity


class SupervisedConfig(Regime):
    method: Literal["supervised"]
    optimiser: Optimiser = Optimiser(name="sgd", learning_rate=0.1, weight_decay=5e-4)
    batch_size: BatchSize = 128


class Supervised(Method):
    """Cross-entropy of a linear classifier on the representation."""

    name: ClassVar[str] = "supervised"
    Config: ClassVar[type[Regime]] = SupervisedConfig
    branches: ClassVar[dict[str, int]] = {"view": 1}
    supervised: ClassVar[bool] = True
    loss_layers: ClassVar[tuple[str, ...]] = ("logits",)

    def __init__(self, config: SupervisedConfig, backbone: Backbone, classes: int) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.classifier = nn.Linear(backbone.width, classes)

    def forward(self, views: Views) -> Outputs:
        logits = self.classifier(pooled(self.backbone(views.images["view"][0])))
        return {"logits": logits, "labels": views.labels}

    def loss(self, outputs: Outputs, gather: Gather = identity) -> dict[str, Tensor]:
        return {"loss": F.cross_entropy(outputs["logits"], outputs["labels"])}

    def features(self, images: Tensor) -> dict[str, Tensor]:
        representation = pooled(self.backbone(images))
        return {"representation": representation, "logits": self.classifier(representation)}

    def softmaxes(self) -> dict[str, Softmax]:
        return {"logits": Softmax()}
