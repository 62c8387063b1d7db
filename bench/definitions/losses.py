"""Losses against lightly's, for the same outputs: which are the paper's formula, which another one."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from bench.definitions.features import SEED
from bench.definitions.libraries import LIGHTLY, missing
from torch import Tensor

from collapselab.config.training import ResNet
from collapselab.methods import METHODS, build

TOLERANCE = 1e-5  # relative, and absolute around 0
IMAGES, WIDTH = 64, 16
Outputs = dict[str, Tensor]
NAMES = ("p1", "p2", "z1", "z2", "s1", "s2", "t1", "t2")  # as the methods call them: predictions, embeddings, logits


def outputs() -> dict[str, Outputs]:
    """What a network may give: unrelated outputs, two views that nearly agree, and a constant."""
    g = np.random.default_rng(SEED)
    images = g.standard_normal((IMAGES, WIDTH))
    return {
        "unrelated": {name: torch.from_numpy(g.standard_normal((IMAGES, WIDTH))) for name in NAMES},
        "views": {name: torch.from_numpy(images + 0.3 * g.standard_normal((IMAGES, WIDTH))) for name in NAMES},
        "constant": {name: torch.arange(1.0, WIDTH + 1, dtype=torch.float64).expand(IMAGES, -1) for name in NAMES},
    }


@dataclass(frozen=True)
class LossComparison:
    """One of our losses against a call of lightly.

    Attributes:
        keys: the regime's, so that both compute the same thing.
        differs: outputs on which the values must differ; on the others they must be equal.
        restated: their definition from ours or in a few lines; where values differ it must give theirs.
    """

    method: str
    call: str
    theirs: Callable[[Outputs], Tensor]
    why: str
    keys: tuple[tuple[str, object], ...] = ()
    differs: tuple[str, ...] = ()
    restated: Callable[[Outputs], Tensor] | None = None


def lightly(name: str, **options: object) -> Callable[..., Any]:
    """A loss of lightly.loss, made at the call."""
    return lambda *given: getattr(importlib.import_module("lightly.loss"), name)(**options)(*given)


def cosines(of: Outputs) -> Tensor:
    loss = lightly("NegativeCosineSimilarity")
    return (loss(of["p1"], of["z2"]) + loss(of["p2"], of["z1"])) / 2


def barlow(of: Outputs) -> Tensor:
    """Correlations shrunk by batch norm's 1e-5."""
    first, second = ((z - z.mean(0)) / (z.var(0, correction=0) + 1e-5).sqrt() for z in (of["z1"], of["z2"]))
    c = first.T @ second / IMAGES
    off = c - torch.diag(c.diagonal())
    return (1 - c.diagonal()).square().sum() + 0.0051 * off.square().sum()


def vicreg(of: Outputs) -> Tensor:
    """The paper's algorithm 1 but for half of the variance term."""
    z1, z2 = of["z1"], of["z2"]
    hinge = sum((1 - (z.var(0) + 1e-4).sqrt()).clamp(min=0).mean() for z in (z1, z2))
    covariances = (torch.cov(z.T) for z in (z1, z2))
    covariance = sum((c - torch.diag(c.diagonal())).square().sum() / WIDTH for c in covariances)
    return 25 * (z1 - z2).square().mean() + 25 * hinge / 2 + covariance


def both_branches(of: Outputs) -> Tensor:
    """One NT-Xent for each pair (q, k), which counts the other queries and the other keys among the negatives."""
    total = torch.zeros((), dtype=torch.float64)
    for p, z in (("p1", "z2"), ("p2", "z1")):
        rows = torch.nn.functional.normalize(torch.cat([of[p], of[z]]), dim=-1)
        logits = (rows @ rows.T / 0.2).fill_diagonal_(-math.inf)
        partner = torch.arange(2 * IMAGES).roll(IMAGES)
        total = total + torch.nn.functional.cross_entropy(logits, partner)
    return total


COMPARISONS = (
    LossComparison("simsiam", "`NegativeCosineSimilarity`, mean of both ways", cosines, "equation 1"),
    LossComparison(
        "byol",
        "`NegativeCosineSimilarity`, mean of both ways",
        cosines,
        "lightly trains BYOL on the cosine; equation 2 is the squared distance, 4 + 4 times theirs: its gradient is four times as "
        "large",
        differs=("unrelated", "views", "constant"),
        restated=lambda of: (method_loss("byol", (), of) - 4) / 4,
    ),
    LossComparison(
        "simclr",
        "`NTXentLoss(temperature=0.2)`",
        lambda of: lightly("NTXentLoss", temperature=0.2)(of["z1"], of["z2"]),
        "equation 1",
    ),
    LossComparison(
        "moco_v3",
        "`NTXentLoss(temperature=0.2)`, sum of both ways",
        lambda of: sum_of(lightly("NTXentLoss", temperature=0.2), of),
        "no MoCo v3 there: NT-Xent without a queue takes the other queries for negatives too and has no factor 2 T",
        differs=("unrelated", "views", "constant"),
        restated=both_branches,
    ),
    LossComparison(
        "directclr",
        "`DirectCLRLoss(loss_dim=16, temperature=0.2)`",
        lambda of: lightly("DirectCLRLoss", loss_dim=WIDTH, temperature=0.2)(of["z1"], of["z2"]),
        "NT-Xent on the first channels",
    ),
    LossComparison(
        "barlow_twins",
        "`BarlowTwinsLoss(lambda_param=0.0051)`",
        lambda of: lightly("BarlowTwinsLoss", lambda_param=0.0051)(of["z1"], of["z2"]),
        "equations 1 and 2, but standardised by batch norm, whose 1e-5 shrinks every correlation: seen where the loss is small",
        keys=(("scale", 1.0),),
        differs=("views",),
        restated=barlow,
    ),
    LossComparison(
        "vicreg",
        "`VICRegLoss()`",
        lambda of: lightly("VICRegLoss")(of["z1"], of["z2"]),
        "halves the variance term, as the authors' code does; the paper's equation 6 and algorithm 1 add both views'",
        differs=("unrelated", "views", "constant"),
        restated=vicreg,
    ),
    LossComparison(
        "dino",
        "`DINOLoss(output_dim=16, teacher_temp=0.07)`, first step",
        lambda of: lightly("DINOLoss", output_dim=WIDTH, teacher_temp=0.07)([of["t1"], of["t2"]], [of["s1"], of["s2"]]),
        "algorithm 1, the centre still 0",
        keys=(("temperature_warmup", 0.0),),
    ),
)


def sum_of(loss: Callable[..., Any], of: Outputs) -> Tensor:
    total: Tensor = loss(of["p1"], of["z2"]) + loss(of["p2"], of["z1"])
    return total


def method_loss(name: str, keys: Sequence[tuple[str, object]], of: Outputs) -> Tensor:
    """Our loss of those outputs; the networks, which it doesn't look at, are as small as they come."""
    sizes = {
        "dino": {"head": [2, 2, 2], "prototypes": WIDTH},
        "directclr": {"subvector": 1},
        "byol": {"projector": [2], "predictor_hidden": 2},
        "moco_v3": {"projector": [2], "predictor_hidden": 2},
        "simsiam": {"projector": [2], "predictor_hidden": 2},
    }.get(name, {"projector": [2]})
    common = {"method": name, "backbone": "b", "augmentation": "a", "epochs": 1}
    config = METHODS[name].Config(**{**common, **sizes, **dict(keys)})  # type: ignore[arg-type]
    method = build(config, ResNet(architecture="resnet", widths=[2], blocks=[1]), 8, 2)
    return method.loss(of)["loss"].detach()


@dataclass(frozen=True)
class LossResult:
    """Values by outputs; `unexpected`: what is not as declared."""

    comparison: LossComparison
    ours: dict[str, float]
    theirs: dict[str, float]
    unexpected: tuple[str, ...]

    @property
    def different(self) -> tuple[str, ...]:
        return tuple(name for name in self.ours if not same(self.ours[name], self.theirs[name]))


def same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def run(comparison: LossComparison) -> LossResult | None:
    """None where lightly is missing."""
    if missing(LIGHTLY):
        return None
    told = outputs()
    mine = {name: float(method_loss(comparison.method, comparison.keys, of)) for name, of in told.items()}
    theirs = {name: float(comparison.theirs(of)) for name, of in told.items()}
    unexpected = []
    for name, of in told.items():
        if same(mine[name], theirs[name]) == (name in comparison.differs):
            unexpected.append(f"on {name}: {mine[name]} here, {theirs[name]} there")
        if comparison.restated and not same(float(comparison.restated(of)), theirs[name]):
            unexpected.append(
                f"on {name} the restated definition gives {float(comparison.restated(of))}, not {theirs[name]}"
            )
    return LossResult(comparison, mine, theirs, tuple(unexpected))
