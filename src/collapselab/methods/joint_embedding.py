"""What methods with two views, one backbone and one projector share; each adds its loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from collapselab.backbones import Backbone, pooled
from collapselab.methods.base import Method, Outputs, Views
from collapselab.methods.heads import mlp


class JointEmbedding(Method):
    """Backbone and projector; `forward` gives the embeddings z1 and z2 [N, d] of two views of each image."""

    branches: ClassVar[dict[str, int]] = {"view": 2}

    def __init__(
        self, backbone: Backbone, projector: Sequence[int], *, norm: bool = True, last_norm: bool = False
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.projector = mlp([backbone.width, *projector], norm=norm, last_norm=last_norm)

    def forward(self, views: Views) -> Outputs:
        first, second = (self.projector(pooled(self.backbone(view))) for view in views.images["view"])
        return {"z1": first, "z2": second}

    def features(self, images: Tensor) -> dict[str, Tensor]:
        representation = pooled(self.backbone(images))
        return {"representation": representation, "embedding": self.projector(representation)}
