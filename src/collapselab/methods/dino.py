"""DINO: Emerging Properties in Self-Supervised Vision Transformers (Caron et al., arXiv 2104.14294)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from collapselab.backbones import Backbone, summary
from collapselab.config.base import Count, Fraction, PositiveFloat
from collapselab.config.training import EMA, BatchSize, Optimiser, Regime, Schedule, Temperature
from collapselab.methods.base import Gather, Guard, Method, Outputs, Progress, Softmax, Views, identity
from collapselab.methods.distillation import centering, cross_entropy, sharpening
from collapselab.methods.momentum import SCALED, follower, kept, move_towards


class DINOConfig(Regime):
    """Published for CIFAR-10 (solo-learn's 1000-epoch setting): EMA .9995 to 1, 4096 prototypes, LARS .3, weight decay 1e-6."""

    scaled: ClassVar[dict[str, Any]] = {"ema": SCALED}

    method: Literal["dino"]
    optimiser: Optimiser = Optimiser(name="lars", learning_rate=0.3, weight_decay=1e-6, trust=0.02, clip=True)
    schedule: Schedule = Schedule(warmup=0.01)
    batch_size: BatchSize = 256
    head: list[Count] = Field(
        [2048, 2048, 256], min_length=3, max_length=3, description="two hidden widths and the bottleneck's"
    )
    prototypes: Count = Field(4096, description="outputs that the softmax is over (K)")
    teacher: Literal["ema", "epoch", "copy"] = Field(
        "ema", description="a moving average of the student; the student of the last epoch's end; that of the last step"
    )
    ema: EMA = EMA(start=0.9995, end=1.0)
    student_temperature: Temperature = 0.1
    teacher_temperature: PositiveFloat = Field(0.07, description="after its warm-up")
    warmup_temperature: PositiveFloat = Field(0.04, description="the teacher's temperature at the start")
    temperature_warmup: Fraction = Field(
        0.05, description="fraction of all steps over which the teacher's temperature goes from the one to the other"
    )
    sharpening: bool = Field(True, description="false: the teacher's temperature is the student's throughout")
    centering: bool = Field(True, description="subtract a moving average of the teacher's logits before its softmax")
    centre_momentum: Fraction = Field(0.9, description="share of the centre that a step keeps")


class DINO(Method):
    """L = mean over the two pairs of views of H(softmax((t - c) / tau_t), softmax(s / tau_s)) (equations 1 to 4).

    The head reads a ViT's CLS token or a ResNet's pooled output. Left out: small crops, for which `base` says what is missing,
    and holding the prototypes still in the first epoch, a safeguard of the reference code.
    """

    name: ClassVar[str] = "dino"
    Config: ClassVar[type[DINOConfig]] = DINOConfig
    branches: ClassVar[dict[str, int]] = {"view": 2}
    representation: ClassVar[str] = "student.representation"
    loss_layers: ClassVar[tuple[str, ...]] = ("student.logits", "teacher.logits")
    guards: ClassVar[tuple[Guard, ...]] = (
        centering,
        sharpening("sharpening", off=False),
        Guard(
            "EMA",
            parameter="teacher",
            off="copy",
            expected={"student.logits": ["uniform"], "teacher.logits": ["uniform"]},
            source="Caron et al. 2021, section 5.2 and figure 6: a teacher copied at each step fails (0.1 %), one of the previous "
            "epoch doesn't; that the failure is uniform is derived: the centre takes a constant output away",
        ),
    )

    def __init__(self, config: DINOConfig, backbone: Backbone, classes: int) -> None:
        super().__init__()
        self.config = config
        self.student = nn.Sequential(backbone, DINOHead(backbone.width, config.head, config.prototypes))
        self.teacher = follower(*self.student)
        self.centre: Tensor
        self.register_buffer("centre", torch.zeros(config.prototypes))
        self.temperature: Tensor  # a buffer, so that the state is all there is to resume from
        self.register_buffer("temperature", torch.tensor(self._temperature(0.0)))
        self.batch_centre: Tensor | None = None

    def forward(self, views: Views) -> Outputs:
        s1, s2 = (_logits(self.student, view) for view in views.images["view"])
        with torch.no_grad():
            t1, t2 = (_logits(self.teacher, view) for view in views.images["view"])
        return {"s1": s1, "s2": s2, "t1": t1, "t2": t2}

    def loss(self, outputs: Outputs, gather: Gather = identity) -> dict[str, Tensor]:
        if self.config.centering:
            batch = torch.cat([outputs["t1"], outputs["t2"]]).detach().mean(0)
            self.batch_centre = gather(batch[None]).mean(0)
        # Each view's teacher teaches the other view's student.
        targets = torch.stack([outputs["t1"], outputs["t2"]])
        # The buffer itself: a number would be read from the device once, where the step is recorded and replayed.
        teacher = Softmax(self.temperature, self._teacher_centre())(targets)
        student = torch.stack([outputs["s2"], outputs["s1"]])
        return cross_entropy(teacher, student / self.config.student_temperature)

    def features(self, images: Tensor) -> dict[str, Tensor]:
        layers: dict[str, Tensor] = {}
        for name, network in (("student", self.student), ("teacher", self.teacher)):
            representation = summary(network[0](images))
            layers |= {f"{name}.representation": representation, f"{name}.logits": network[1](representation)}
        return layers

    def evaluated(self, images: Tensor) -> dict[str, Tensor]:
        """The representation alone: thousands of logits for every image would fill a disk, and snapshots have the probe set's."""
        return {"student.representation": summary(self.student[0](images))}

    def softmaxes(self) -> dict[str, Softmax]:
        teacher = Softmax(float(self.temperature), self._teacher_centre())
        return {"student.logits": Softmax(self.config.student_temperature), "teacher.logits": teacher}

    def after_step(self, progress: Progress) -> dict[str, float]:
        if self.batch_centre is not None:
            self.centre.lerp_(self.batch_centre, 1 - self.config.centre_momentum)
        self.temperature.fill_(self._temperature(progress.fraction))
        recorded = {"teacher_temperature": float(self.temperature)}
        if self.config.teacher == "epoch":
            return recorded
        keep = 0.0 if self.config.teacher == "copy" else kept(self.config.ema, progress)
        move_towards(self.teacher, self.student, keep)
        return recorded | {"ema": keep}

    def after_epoch(self) -> None:
        if self.config.teacher == "epoch":
            move_towards(self.teacher, self.student, keep=0.0)

    def _teacher_centre(self) -> Tensor | None:
        return self.centre if self.config.centering else None

    def _temperature(self, fraction: float) -> float:
        """The teacher's at this fraction of the run: a linear warm-up, then constant."""
        config = self.config
        if not config.sharpening:
            return config.student_temperature
        if fraction >= config.temperature_warmup:
            return config.teacher_temperature
        done = fraction / config.temperature_warmup
        return config.warmup_temperature + (config.teacher_temperature - config.warmup_temperature) * done


class DINOHead(nn.Module):
    """Three linear layers with GELU between them, L2 normalisation, then prototypes of length 1: [N, width] -> [N, K].

    Prototypes of length 1 are the paper's weight normalisation with its gain held at 1.
    """

    def __init__(self, width: int, widths: list[int], prototypes: int) -> None:
        super().__init__()
        first, second, bottleneck = widths
        self.mlp = nn.Sequential(
            nn.Linear(width, first), nn.GELU(), nn.Linear(first, second), nn.GELU(), nn.Linear(second, bottleneck)
        )
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.prototypes = nn.Parameter(torch.randn(prototypes, bottleneck))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.normalize(self.mlp(x), dim=-1), F.normalize(self.prototypes, dim=-1))


def _logits(network: nn.Sequential, images: Tensor) -> Tensor:
    logits: Tensor = network[1](summary(network[0](images)))
    return logits
