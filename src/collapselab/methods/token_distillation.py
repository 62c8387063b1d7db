"""Token distillation: the founding notebook's loss, and DINO's centring and sharpening on top of it.

A student and a teacher ViT carry a head on every token; the student's patch tokens are taught the teacher's, by cross-entropy
of softmax outputs. Four teachers: sgd (gradients update both: the notebook's "both"), frozen (random), copy (the student's
weights at every epoch's end), ema (a moving average of them, DINO's practice: Caron et al., arXiv 2104.14294).
"""

from __future__ import annotations

import copy
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from collapselab.backbones import Backbone, VisionTransformer
from collapselab.backbones.dropout import Dropout
from collapselab.backbones.linear import Linear
from collapselab.config.base import Count, Fraction, PositiveFloat
from collapselab.config.training import EMA, BatchSize, Optimiser, Regime, Temperature
from collapselab.config.training import Backbone as BackboneConfig
from collapselab.methods.base import (
    Combination,
    Gather,
    Guard,
    Method,
    Outputs,
    Progress,
    Softmax,
    Views,
    identity,
    need_architecture,
)
from collapselab.methods.distillation import centering, cross_entropy, sharpening
from collapselab.methods.momentum import SCALED, kept, move_towards


class TokenDistillationConfig(Regime):
    """The notebook's: AdamW .001, batch 128, no shuffling, head 2048-2048-128, temperatures 1, no centring."""

    scaled: ClassVar[dict[str, Any]] = {"ema": SCALED}

    method: Literal["token_distillation"]
    optimiser: Optimiser = Optimiser(name="adamw", learning_rate=1e-3, weight_decay=1e-2)
    batch_size: BatchSize = 128
    shuffle: bool = Field(False, description="a new order each epoch; the notebook keeps the data set's order")
    head: list[Count] = Field(
        [2048, 2048, 128], min_length=3, max_length=3, description="two hidden widths and the prototypes K"
    )
    head_dropout: float = Field(0.1, ge=0, lt=1, description="share of the head's activations set to 0, in train mode")
    teacher: Literal["sgd", "frozen", "copy", "ema"] = Field(
        "ema",
        description="sgd: gradients reach it too; frozen: its initial weights; copy: the student's at each epoch's end; ema: "
        "their moving average",
    )
    same_start: bool = Field(False, description="whether the teacher starts from the student's weights")
    ema: EMA = EMA(start=0.996, end=1.0)
    student_temperature: Temperature = 1.0
    teacher_temperature: PositiveFloat = Field(1.0, description="below the student's: sharpening")
    centering: bool = Field(False, description="subtract a moving average of the teacher's logits before its softmax")
    centre_momentum: Fraction = Field(0.9, description="share of the centre that a step keeps")


class TokenDistillation(Method):
    """The notebook's own regimes have neither centering nor sharpening: `combinations` says what is expected of them.

    L = - mean over images and patch tokens of sum_k softmax((t_k - c_k) / tau_t) log softmax(s_k / tau_s)."""

    name: ClassVar[str] = "token_distillation"
    Config: ClassVar[type[Regime]] = TokenDistillationConfig
    branches: ClassVar[dict[str, int]] = {"student": 1, "teacher": 1}
    representation: ClassVar[str] = "student.representation"
    loss_layers: ClassVar[tuple[str, ...]] = ("student.logits", "teacher.logits")
    guards: ClassVar[tuple[Guard, ...]] = (
        Guard(
            "stop-gradient on the teacher",
            parameter="teacher",
            off="sgd",
            expected={"student.logits": ["one-hot"], "teacher.logits": ["one-hot"]},
            source="cross-entropy H(p_t, p_s) = h(p_t) + KL is 0 only where both put all mass on one prototype",
        ),
        centering,
        sharpening("teacher_temperature", off="=student_temperature"),
    )
    combinations: ClassVar[tuple[Combination, ...]] = (
        Combination(
            ("centering", "sharpening"),
            expected={"student.logits": [], "teacher.logits": []},
            source="derivation: H(p_t, p_s) = h(p_t) + KL, and gradient reaches the student alone, so KL falls and the loss stalls "
            "near the teacher's entropy, which nothing moves; how far information decays is to be measured",
        ),
        Combination(
            ("stop-gradient on the teacher", "centering", "sharpening"),
            expected={"student.logits": ["one-hot"], "teacher.logits": ["one-hot"]},
            source="cross-entropy H(p_t, p_s) = h(p_t) + KL is 0 only where both put all mass on one prototype",
        ),
    )

    def __init__(self, config: TokenDistillationConfig, backbone: Backbone, classes: int) -> None:
        super().__init__()
        assert isinstance(backbone, VisionTransformer)  # `check` has answered users already
        self.config = config
        self.student = nn.Sequential(backbone, TokenHead(backbone.width, config.head, config.head_dropout))
        self.teacher = copy.deepcopy(self.student)
        if not config.same_start:
            _draw_again(self.teacher)
        if config.teacher != "sgd":
            self.teacher.requires_grad_(False)
        self.centre: Tensor
        self.register_buffer("centre", torch.zeros(config.head[-1]))
        self.batch_centre: Tensor | None = None

    def forward(self, views: Views) -> Outputs:
        # The teacher first: without gradient it leaves nothing but its logits, so its memory serves the student again.
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.config.teacher == "sgd"):
            teacher = _logits(self.teacher, views.images["teacher"][0])
        student = _logits(self.student, views.images["student"][0])
        return {"student": student, "teacher": teacher}

    def loss(self, outputs: Outputs, gather: Gather = identity) -> dict[str, Tensor]:
        student, teacher = outputs["student"], outputs["teacher"]
        if self.config.centering:
            self.batch_centre = gather(teacher.detach().mean((0, 1))[None]).mean(0)
        target = self._teacher_softmax()(teacher)
        return cross_entropy(target, student / self.config.student_temperature)

    def features(self, images: Tensor) -> dict[str, Tensor]:
        return self.evaluated(images) | _layers("teacher", self.teacher, images)

    def evaluated(self, images: Tensor) -> dict[str, Tensor]:
        return _layers("student", self.student, images)

    def softmaxes(self) -> dict[str, Softmax]:
        return {"student.logits": Softmax(self.config.student_temperature), "teacher.logits": self._teacher_softmax()}

    def after_step(self, progress: Progress) -> dict[str, float]:
        if self.batch_centre is not None:
            self.centre.lerp_(self.batch_centre, 1 - self.config.centre_momentum)
        if self.config.teacher != "ema":
            return {}
        keep = kept(self.config.ema, progress)
        move_towards(self.teacher, self.student, keep)
        return {"ema": keep}

    def after_epoch(self) -> None:
        if self.config.teacher == "copy":
            move_towards(self.teacher, self.student, keep=0.0)

    def _teacher_softmax(self) -> Softmax:
        return Softmax(self.config.teacher_temperature, self.centre if self.config.centering else None)

    @classmethod
    def check(cls, config: Regime, backbone: BackboneConfig, where: str) -> None:
        need_architecture(config, backbone, "vit", where)


class TokenHead(nn.Sequential):
    """The notebook's head, applied to each token: Linear, ReLU, Dropout, Linear, Dropout, Linear."""

    def __init__(self, width: int, widths: list[int], dropout: float) -> None:
        first, second, prototypes = widths
        super().__init__(
            Linear(width, first),
            nn.ReLU(inplace=True),
            Dropout(dropout),
            Linear(first, second),
            Dropout(dropout, inplace=True),
            Linear(second, prototypes),
        )


def _logits(network: nn.Sequential, images: Tensor) -> Tensor:
    """[N, 3, H, W] -> [N, T, K]. The CLS token is dropped before the head, which works on each token alone.

    Contiguous, as a product of strided tokens can't take the bias along.
    """
    logits: Tensor = network[1](network[0](images)[:, 1:].contiguous())
    return logits


def _layers(name: str, network: nn.Sequential, images: Tensor) -> dict[str, Tensor]:
    tokens = network[0](images)[:, 1:]
    return {f"{name}.representation": tokens, f"{name}.logits": network[1](tokens)}


def _draw_again(network: nn.Module) -> None:
    """New initial weights for a copy, from torch's global generator, in the order of construction."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.LayerNorm):
            module.reset_parameters()
        elif isinstance(module, VisionTransformer):
            nn.init.normal_(module.cls)
            nn.init.normal_(module.positions)
