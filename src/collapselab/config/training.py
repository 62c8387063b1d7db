"""How a regime is trained: backbone, optimiser, schedule, snapshots, device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from collapselab.config.base import Count, Fraction, PositiveFloat, Strict, unique
from collapselab.config.data import Seed


class ViT(Strict):
    """Pre-norm vision transformer with a CLS token and learned positions, both drawn from N(0, 1)."""

    architecture: Literal["vit"]
    patch: Count = Field(description="side of a patch, pixels")
    width: Count = Field(description="of a token, divisible by heads")
    depth: Count = Field(description="blocks")
    heads: Count = Field(description="of attention, in each block")
    mlp: Count = Field(description="hidden width of each block's MLP")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of a block's activations set to 0, in train mode")

    @model_validator(mode="after")
    def _divisible(self) -> ViT:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not divisible by heads {self.heads}")
        return self


class ResNet(Strict):
    """CIFAR ResNet of basic blocks: 3 x 3 stem, no max-pool, global average pool."""

    architecture: Literal["resnet"]
    widths: list[Count] = Field(
        min_length=1, description="channels of each stage; each after the first halves the resolution"
    )
    blocks: list[Count] = Field(min_length=1, description="basic blocks in each stage")
    stem_stride: Literal[1, 2] = Field(
        1, description="2: the first convolution halves the resolution of all that follows"
    )

    @model_validator(mode="after")
    def _one_count_a_stage(self) -> ResNet:
        if len(self.widths) != len(self.blocks):
            raise ValueError(f"widths {self.widths} and blocks {self.blocks} name different numbers of stages")
        return self


class Timm(Strict):
    """A model of the timm library, with fresh weights and without its classifier. Needs `pip install timm`."""

    architecture: Literal["timm"]
    model: str = Field(description="as timm.list_models() names it, for example resnet18 or vit_tiny_patch16_224")


Backbone = ViT | ResNet | Timm
BACKBONES: dict[str, type[Backbone]] = {"vit": ViT, "resnet": ResNet, "timm": Timm}


class Optimiser(Strict):
    """What steps the weights, and how far."""

    name: Literal["sgd", "adamw", "lars"] = Field(description="SGD with momentum, AdamW, or LARS with momentum")
    learning_rate: PositiveFloat = Field(
        description="peak rate, reached after the warm-up, as it is: papers that scale it by batch size / 256 leave that to you"
    )
    weight_decay: float = Field(0.0, ge=0, description="share of a weight taken off at each step, per unit of rate")
    decay: Literal["matrices", "all"] = Field(
        "matrices", description="matrices: biases and normalisation weights decay nothing"
    )
    momentum: Fraction = Field(0.9, description="sgd and lars only: share of the last step that a step keeps")
    trust: PositiveFloat = Field(
        0.001, description="lars only: a layer's step, as a fraction of its weights' norm, per unit of rate"
    )
    clip: bool = Field(
        False, description="lars only: a layer's rate is the smaller of learning_rate and LARS's own, not their product"
    )


class Schedule(Strict):
    """The learning rate over the steps of a run."""

    warmup: Fraction = Field(0.0, description="fraction of all steps over which the rate rises linearly from 0")
    decay: Literal["cosine", "constant"] = Field("cosine", description="cosine: to 0 at the last step")


class EMA(Strict):
    """How fast a moving average of weights follows: a published rate, or a half-life that suits a run of any length."""

    start: Fraction | None = Field(None, description="share of the average that a step keeps, at the start of the run")
    end: Fraction | None = Field(None, description="the same at its end")
    curve: Literal["cosine", "linear"] = Field("cosine", description="between start and end")
    half_life: PositiveFloat | None = Field(
        None, description="in place of start and end: fraction of the run in which half of the average is renewed"
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        rates = (self.start is not None, self.end is not None)
        if rates != ((True, True) if self.half_life is None else (False, False)):
            raise ValueError("give `start` and `end`, or `half_life` alone")
        return self


BatchSize = Annotated[int, Field(ge=2, description="images a step; an epoch's last incomplete batch is dropped")]
Temperature = Annotated[
    PositiveFloat, Field(description="what logits are divided by before the softmax; lower is sharper")
]


class Regime(Strict):
    """What every regime names; each method adds its own keys."""

    # Defaults for runs that are short against the published ones, where a method's rates need others: key -> value.
    scaled: ClassVar[Mapping[str, Any]] = {}

    method: str
    preset: Literal["published", "scaled"] = Field(
        "published",
        description="whose defaults fill keys that are left out; scaled: rates are fractions of the run, for short ones",
    )
    backbone: str = Field(description="a name from `backbones`")
    augmentation: str = Field(description="a name from `augmentations`")
    epochs: Count = Field(description="passes over the training images")
    batch_size: BatchSize
    optimiser: Optimiser
    schedule: Schedule = Schedule()
    shuffle: bool = Field(True, description="a new order each epoch; false keeps the data set's order")
    seeds: Annotated[list[Seed], AfterValidator(unique)] | None = Field(
        None, min_length=1, description="in place of the study's seeds"
    )

    @model_validator(mode="after")
    def _fill_in_preset(self) -> Self:
        if self.preset == "scaled":
            if not self.scaled:
                raise ValueError(
                    f"preset = 'scaled': no default of {self.method} depends on a run's length; leave it out"
                )
            for key in self.scaled.keys() - self.model_fields_set:
                self.__dict__[key] = self.scaled[key]  # still being made; frozen from here on
        return self


class Tokens(Strict):
    """What more is kept of layers of tokens: enough for their spectra however tokens are taken."""

    position: int = Field(ge=0, description="the place, counted from 0 row by row, whose vectors are kept one by one")


class Snapshots(Strict):
    """When and on what the features are recorded."""

    bank: Count = Field(description="validation images that answer k-NN queries")
    queries: Count = Field(description="validation images asked about; bank and queries are the probe set")
    view_images: int = Field(ge=2, description="probe images that are also seen through the augmentation")
    views: int = Field(4, ge=2, description="augmented views of each of them")
    modes: list[Literal["eval", "train"]] = Field(
        ["eval"], min_length=1, description="train: with dropout and batch statistics"
    )
    log_steps: list[Annotated[int, Field(ge=0)]] = Field(
        [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000], description="steps of early snapshots; 0 is always one"
    )
    epoch_interval: Count = Field(1, description="epochs between later snapshots; the last epoch is always one")
    tokens: Tokens | None = Field(
        None,
        description="spectra of tokens however they are taken: at the first and the last snapshot, four times its passes",
    )


class Training(Strict):
    """Where networks are trained, and what is recorded of them."""

    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="auto: a GPU where there is one")
    autocast: Literal["bfloat16"] | None = Field(
        None,
        description="what the networks compute in where it is safe, for GPUs; losses and evaluation stay in float32",
    )
    compile: bool = Field(
        False,
        description="torch.compile networks, losses and augmentation, on CUDA alone: a minute at the start; needs a C compiler",
    )
    threads: int = Field(
        1, ge=0, description="CPU threads of one cell, 0 for all; results are byte-identical only for the same count"
    )
    snapshots: Snapshots
