"""A small regime of every method, and what tests feed it."""

from __future__ import annotations

import torch
from torch import Tensor

from collapselab.config.training import Backbone, Regime, ResNet, ViT
from collapselab.data.loader import Batch
from collapselab.methods import METHODS, build
from collapselab.methods.base import Method

RESNET = ResNet(architecture="resnet", widths=[4, 8], blocks=[1, 1], stem_stride=2)
VIT = ViT(architecture="vit", patch=8, width=16, depth=1, heads=2, mlp=32, dropout=0.1)
COMMON = {"backbone": "b", "augmentation": "a", "epochs": 1}
NEED_VIT = ("token_distillation", "ijepa")
NEED_RESNET = ("directclr",)


def regime(method: str, **keys: object) -> Regime:
    return METHODS[method].Config(method=method, **COMMON | keys)  # type: ignore[arg-type]


CONFIGS = {
    "simsiam": regime("simsiam", projector=[16, 16], predictor_hidden=4),
    "byol": regime("byol", projector=[16, 8], predictor_hidden=16),
    "simclr": regime("simclr", projector=[16, 8]),
    "moco_v3": regime("moco_v3", projector=[16, 8], predictor_hidden=16),
    "directclr": regime("directclr", subvector=3),
    "barlow_twins": regime("barlow_twins", projector=[16, 8]),
    "vicreg": regime("vicreg", projector=[16, 8]),
    "dino": regime("dino", head=[8, 8, 4], prototypes=6),
    "ijepa": regime("ijepa", predictor_width=8, predictor_depth=1, predictor_heads=2),
    "supervised": regime("supervised"),
    "token_distillation": regime("token_distillation", head=[8, 8, 6]),
}
# The outputs that each loss reads.
LOSSES = {
    "simsiam": ("p1", "p2", "z1", "z2"),
    "byol": ("p1", "p2", "z1", "z2"),
    "simclr": ("z1", "z2"),
    "moco_v3": ("p1", "p2", "z1", "z2"),
    "directclr": ("z1", "z2"),
    "barlow_twins": ("z1", "z2"),
    "vicreg": ("z1", "z2"),
    "dino": ("s1", "s2", "t1", "t2"),
    "token_distillation": ("student", "teacher"),
    "ijepa": ("prediction", "target"),
    "supervised": ("logits",),
}
for listed in (CONFIGS, LOSSES):
    missing = sorted(set(METHODS) - set(listed))
    assert not missing, (
        f"{', '.join(missing)}: add a small regime to CONFIGS and the loss's inputs to LOSSES in tests/methods/helpers.py"
    )


def backbone_of(config: Regime) -> Backbone:
    return VIT if config.method in NEED_VIT else RESNET


def changed(name: str, **keys: object) -> Regime:
    """The small regime of that method with other values of some keys."""
    return CONFIGS[name].model_copy(update=keys)


def method_of(config: Regime, backbone: Backbone | None = None) -> Method:
    torch.manual_seed(0)
    return build(config, backbone or backbone_of(config), 32, 10)


def batch_for(method: Method, count: int = 8) -> Batch:
    rng = torch.Generator().manual_seed(1)
    images = {
        branch: [torch.randn(count, 3, 32, 32, generator=rng) for _ in range(views)]
        for branch, views in method.branches.items()
    }
    labels = torch.arange(count) % 10
    return Batch(images, labels, lambda purpose, columns: torch.rand(count, columns, generator=rng))


def embeddings(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=rng, dtype=torch.float64), torch.randn(
        *shape, generator=rng, dtype=torch.float64
    )


def off(name: str, *guards: str) -> Regime:
    """The small regime of that method with some guards, by name, switched off."""
    declared = {guard.name: guard for guard in METHODS[name].guards}
    values = {}
    for guard in (declared[one] for one in guards):
        linked = isinstance(guard.off, str) and guard.off.startswith("=")
        values[guard.parameter] = getattr(CONFIGS[name], guard.off[1:]) if linked else guard.off
    return changed(name, **values)
