"""I-JEPA: Self-Supervised Learning from Images with a Joint-Embedding Predictive Architecture (Assran et al., arXiv 2301.08243)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from collapselab.backbones import Backbone, VisionTransformer
from collapselab.backbones.vit import Block, take
from collapselab.config.base import Count
from collapselab.config.data import FractionRange, PositiveRange
from collapselab.config.training import EMA, BatchSize, Optimiser, Regime, Schedule, ViT
from collapselab.config.training import Backbone as BackboneConfig
from collapselab.data.loader import Batch
from collapselab.errors import UserError
from collapselab.methods.base import Gather, Guard, Method, Outputs, Progress, Views, identity, need_architecture
from collapselab.methods.masks import MultiBlock
from collapselab.methods.momentum import SCALED, follower, kept, move_towards


class IJEPAConfig(Regime):
    """Published for ImageNet: AdamW .001, batch 2048, EMA .996 to 1, predictor 384 wide. There is no setting for CIFAR-10.

    The paper's weight decay rises from .04 to .4; here it is constant.
    """

    scaled: ClassVar[dict[str, Any]] = {"ema": SCALED}

    method: Literal["ijepa"]
    optimiser: Optimiser = Optimiser(name="adamw", learning_rate=1e-3, weight_decay=0.04)
    schedule: Schedule = Schedule(warmup=0.05)
    batch_size: BatchSize = 2048
    targets: Count = Field(4, description="target blocks of an image")
    target_scale: FractionRange = Field((0.15, 0.2), description="area of a target block, fraction of the image")
    target_aspect: PositiveRange = Field((0.75, 1.5), description="height over width of a target block")
    context_scale: FractionRange = Field(
        (0.85, 1.0), description="area of the square context block, fraction of the image"
    )
    min_keep: Count = Field(4, description="context patches that are left at least once the targets are taken out")
    predictor: Literal["transformer", "mean"] = Field(
        "transformer", description="mean: each target is predicted by the mean of the context's tokens, without weights"
    )
    predictor_width: int = Field(
        384, ge=4, multiple_of=4, description="narrower than the encoder, divisible by the heads"
    )
    predictor_depth: Count = Field(6, description="its blocks")
    predictor_heads: Count = Field(12, description="of its attention; they divide its width")
    stop_gradient: bool = Field(True, description="false: the target is the context encoder itself, with gradient")
    target: Literal["ema", "online"] = Field(
        "ema", description="online: the weights of the last step, a moving average of rate 0; still without gradient"
    )
    ema: EMA = EMA(start=0.996, end=1.0, curve="linear")


class IJEPA(Method):
    """L = mean over target blocks and their patches of smooth L1(predicted token, target token) (section 3).

    The context encoder sees the context's patches only; the target encoder sees the whole image, and its patch tokens, after a
    LayerNorm without parameters, are what the predictor must give at the targets' positions. Our ViT adds its CLS token to
    both; the predictor doesn't see it. As in the paper, the target encoder is what is evaluated.
    """

    name: ClassVar[str] = "ijepa"
    Config: ClassVar[type[IJEPAConfig]] = IJEPAConfig
    branches: ClassVar[dict[str, int]] = {"view": 1}
    representation: ClassVar[str] = "target.representation"
    loss_layers: ClassVar[tuple[str, ...]] = ("target.embedding",)
    guards: ClassVar[tuple[Guard, ...]] = (
        Guard(
            "stop-gradient",
            parameter="stop_gradient",
            off=False,
            expected={"target.embedding": ["complete", "token-position"]},
            source="derivation: tokens that depend on position alone can be predicted without a look at the image, loss 0, and "
            "gradient into the target leads there; pooled over positions that is one vector for all images",
        ),
        Guard(
            "EMA",
            parameter="target",
            off="online",
            expected={"target.embedding": []},
            source="no ablation published; Chen and He 2021 (arXiv 2011.10566), section 4: with stop-gradient and a predictor a "
            "moving average is not needed; Assran et al. 2023, section 3, keep it as essential",
        ),
        Guard(
            "predictor",
            parameter="predictor",
            off="mean",
            expected={"target.embedding": ["complete"]},
            source="no ablation published; Tian et al. 2021 (arXiv 2102.06810), section 3: without a predictor every direction of "
            "a target network's embedding decays",
        ),
    )

    def __init__(self, config: IJEPAConfig, backbone: Backbone, classes: int) -> None:
        super().__init__()
        assert isinstance(backbone, VisionTransformer)  # `check` has answered users already
        self.config = config
        self.backbone = backbone
        side = round((backbone.positions.shape[1] - 1) ** 0.5)
        self.masks = MultiBlock(
            side, config.targets, config.target_scale, config.target_aspect, config.context_scale, config.min_keep
        )
        if config.min_keep > self.masks.smallest_context:
            raise UserError(
                f"min_keep = {config.min_keep}: a context block may hold {self.masks.smallest_context} of the {side} x {side} "
                "patches: lower it, or take smaller patches"
            )
        self.predictor = Predictor(config, backbone.width, side) if config.predictor == "transformer" else Mean()
        self.target = follower(backbone)

    def views(self, batch: Batch) -> Views:
        context, targets = self.masks(batch.uniforms("masks", self.masks.columns))
        return Views(batch.images, batch.labels, {"context": context, "targets": targets})

    def forward(self, views: Views) -> Outputs:
        (images,) = views.images["view"]
        context, targets = views.masks["context"], views.masks["targets"]
        prediction = self.predictor(self.backbone(images, context)[:, 1:], context, targets)
        stop = self.config.stop_gradient
        with torch.set_grad_enabled(torch.is_grad_enabled() and not stop):
            tokens = _normalised((self.target if stop else self.backbone)(images)[:, 1:])
        return {"prediction": prediction, "target": take(tokens, targets.flatten(1)).view_as(prediction)}

    def loss(self, outputs: Outputs, gather: Gather = identity) -> dict[str, Tensor]:
        return {"loss": F.smooth_l1_loss(outputs["prediction"], outputs["target"])}

    def features(self, images: Tensor) -> dict[str, Tensor]:
        return self.evaluated(images) | {"representation": self.backbone(images)[:, 1:]}

    def evaluated(self, images: Tensor) -> dict[str, Tensor]:
        tokens = self.target(images)[:, 1:]
        return {"target.representation": tokens, "target.embedding": _normalised(tokens)}

    def after_step(self, progress: Progress) -> dict[str, float]:
        follows = self.config.target == "ema" and self.config.stop_gradient
        keep = kept(self.config.ema, progress) if follows else 0.0
        move_towards(self.target, self.backbone, keep)
        return {"ema": keep}

    @classmethod
    def check(cls, config: Regime, backbone: BackboneConfig, where: str) -> None:
        need_architecture(config, backbone, "vit", where)
        assert isinstance(config, IJEPAConfig)
        if config.predictor_width % config.predictor_heads:
            raise UserError(
                f"{where}.predictor_width = {config.predictor_width}: not divisible by predictor_heads = {config.predictor_heads}"
            )


class Predictor(nn.Module):
    """A narrow ViT that gives the tokens of each target block from those of the context, one block at a time."""

    def __init__(self, config: IJEPAConfig, width: int, side: int) -> None:
        super().__init__()
        narrow = config.predictor_width
        shape = ViT(
            architecture="vit",
            patch=1,
            width=narrow,
            depth=config.predictor_depth,
            heads=config.predictor_heads,
            mlp=4 * narrow,
        )
        self.inwards = nn.Linear(width, narrow)
        self.mask = nn.Parameter(torch.empty(narrow))
        nn.init.trunc_normal_(self.mask, std=0.02)
        self.positions: Tensor
        self.register_buffer("positions", sine_cosine(side, narrow))
        self.blocks = nn.Sequential(*(Block(shape) for _ in range(shape.depth)))
        self.norm = nn.LayerNorm(narrow)
        self.outwards = nn.Linear(narrow, width)

    def forward(self, tokens: Tensor, context: Tensor, targets: Tensor) -> Tensor:
        """Context tokens [N, K, width], their patch numbers [N, K] and the targets' [N, B, P] -> [N, B, P, width]."""
        blocks, patches = targets.shape[1:]
        seen = self.inwards(tokens) + self.positions[context]
        asked = self.mask + self.positions[targets]
        x = torch.cat([seen[:, None].expand(-1, blocks, -1, -1), asked], 2)
        x = self.norm(self.blocks(x.flatten(0, 1)))[:, -patches:]
        predicted: Tensor = self.outwards(x).unflatten(0, (-1, blocks))
        return predicted


class Mean(nn.Module):
    """In place of a predictor: the mean of the context's tokens, wherever the target lies."""

    def forward(self, tokens: Tensor, context: Tensor, targets: Tensor) -> Tensor:
        return tokens.mean(1)[:, None, None].expand(-1, *targets.shape[1:], -1)


def sine_cosine(side: int, width: int) -> Tensor:
    """Fixed positions [side * side, width] (He et al. 2022): sines and cosines of the row, then those of the column.

    Frequencies fall from 1 to about 1 / 10,000, a quarter of `width` of them for each.
    """
    quarter = width // 4
    frequency = 10_000.0 ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    angle = torch.arange(side, dtype=torch.float64)[:, None] * frequency
    line = torch.cat([angle.sin(), angle.cos()], 1)  # [side, width / 2]
    rows, columns = line[:, None].expand(-1, side, -1), line[None].expand(side, -1, -1)
    return torch.cat([rows, columns], -1).flatten(0, 1).float()


def _normalised(tokens: Tensor) -> Tensor:
    """LayerNorm without parameters."""
    return F.layer_norm(tokens, tokens.shape[-1:])
