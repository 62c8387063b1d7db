"""How a regime is trained: backbone, optimiser, schedule, snapshots, device."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from collapselab.config.base import Count, Fraction, PositiveFloat, Strict, unique
from collapselab.config.data import Seed


class ViT(Strict):
    """Pre-norm vision transformer with a CLS token and learned positions, both drawn from N(0, 1)."""

    architecture: Literal["vit"]
    patch: Count = Field(description="side of a patch, pixels")
    width: Count
    depth: Count
    heads: Count
    mlp: Count = Field(description="hidden width of each block's MLP")
    dropout: float = Field(0.0, ge=0, lt=1)

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
    stem_stride: Literal[1, 2] = 1

    @model_validator(mode="after")
    def _one_count_a_stage(self) -> ResNet:
        if len(self.widths) != len(self.blocks):
            raise ValueError(f"widths {self.widths} and blocks {self.blocks} name different numbers of stages")
        return self


BACKBONES: dict[str, type[ViT | ResNet]] = {"vit": ViT, "resnet": ResNet}


class Optimiser(Strict):
    name: Literal["sgd", "adamw"]
    learning_rate: PositiveFloat = Field(description="peak rate, reached after the warm-up")
    weight_decay: float = Field(0.0, ge=0)
    decay: Literal["matrices", "all"] = Field(
        "matrices", description="matrices: biases and normalisation weights decay nothing"
    )
    momentum: Fraction = Field(0.9, description="sgd only")


class Schedule(Strict):
    warmup: Fraction = Field(0.0, description="fraction of all steps over which the rate rises linearly from 0")
    decay: Literal["cosine", "constant"] = "cosine"


class Regime(Strict):
    """What every regime names; each method adds its own keys."""

    method: str
    backbone: str = Field(description="a name from `backbones`")
    augmentation: str = Field(description="a name from `augmentations`")
    epochs: Count
    batch_size: int = Field(ge=2)
    optimiser: Optimiser
    schedule: Schedule = Schedule()
    shuffle: bool = Field(True, description="a new order each epoch; false keeps the data set's order")
    seeds: Annotated[list[Seed], AfterValidator(unique)] | None = Field(
        None, min_length=1, description="in place of the study's seeds"
    )


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


class Training(Strict):
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int = Field(
        1, ge=0, description="CPU threads of one cell, 0 for all; results are byte-identical only for the same count"
    )
    snapshots: Snapshots
