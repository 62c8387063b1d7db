"""DirectCLR: Understanding Dimensional Collapse in Contrastive Self-supervised Learning (Jing et al., arXiv 2110.09348)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from collapselab.backbones import Backbone, CifarResNet
from collapselab.config.base import Count
from collapselab.config.training import Backbone as BackboneConfig
from collapselab.config.training import BatchSize, Optimiser, Regime, ResNet, Schedule, Temperature
from collapselab.errors import UserError
from collapselab.methods.base import Gather, Guard, Method, Outputs, Views, identity, need_architecture
from collapselab.methods.contrastive import nt_xent


class DirectCLRConfig(Regime):
    """The paper's d0 is 360 of ResNet-50's 2048 channels; 90 of ResNet-18's 512 is the same share. The rest as SimCLR's."""

    method: Literal["directclr"]
    optimiser: Optimiser = Optimiser(name="lars", learning_rate=0.4, weight_decay=1e-4, trust=0.02, clip=True)
    schedule: Schedule = Schedule(warmup=0.01)
    batch_size: BatchSize = 256
    subvector: Count | None = Field(
        90, description="channels of the representation that the loss reads (d0); null: all"
    )
    residual: bool = Field(True, description="false removes the shortcut of the backbone's last block")
    temperature: Temperature = 0.2


class DirectCLR(Method):
    """SimCLR's loss on the first d0 channels of the representation, without a projector (section 6.2)."""

    name: ClassVar[str] = "directclr"
    Config: ClassVar[type[DirectCLRConfig]] = DirectCLRConfig
    branches: ClassVar[dict[str, int]] = {"view": 2}
    guards: ClassVar[tuple[Guard, ...]] = (
        Guard(
            "subvector",
            parameter="subvector",
            off=None,
            expected={"embedding": ["dimensional"], "representation": ["dimensional"]},
            source="Jing et al. 2022, sections 4 to 6: SimCLR without a projector, whose representation collapses as an "
            "embedding does (51.5 % against 62.7 %)",
        ),
        Guard(
            "residual connection",
            parameter="residual",
            off=False,
            expected={"representation": []},
            source="Jing et al. 2022, section 6.3: the shortcut carries what the loss taught to the other channels. Without it "
            "their last filters get no gradient and stay random features of the trained layer below: worse, not of lower rank",
        ),
    )

    def __init__(self, config: DirectCLRConfig, backbone: Backbone, classes: int) -> None:
        super().__init__()
        assert isinstance(backbone, CifarResNet)  # `check` has answered users already
        self.config = config
        self.backbone = backbone
        if not config.residual:
            self.backbone.blocks[-1].shortcut = Nothing()

    def forward(self, views: Views) -> Outputs:
        first, second = (self.backbone(view)[:, : self.config.subvector] for view in views.images["view"])
        return {"z1": first, "z2": second}

    def loss(self, outputs: Outputs, gather: Gather = identity) -> dict[str, Tensor]:
        return nt_xent(gather(outputs["z1"]), gather(outputs["z2"]), self.config.temperature)

    def features(self, images: Tensor) -> dict[str, Tensor]:
        representation: Tensor = self.backbone(images)
        return {"representation": representation, "embedding": representation[:, : self.config.subvector]}

    @classmethod
    def check(cls, config: Regime, backbone: BackboneConfig, where: str) -> None:
        need_architecture(config, backbone, "resnet", where)
        assert isinstance(config, DirectCLRConfig) and isinstance(backbone, ResNet)
        width = backbone.widths[-1]
        if config.subvector and config.subvector > width:
            raise UserError(
                f"{where}.subvector = {config.subvector}: {config.backbone!r} has {width} channels; a share like the paper's is "
                f"{round(width * 360 / 2048)}, null takes all"
            )


class Nothing(nn.Module):
    """In place of a shortcut: adds zero."""

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(())
