"""The methods, one file each. A new one is added here and nowhere else."""

from __future__ import annotations

from typing import Any

from collapselab.backbones import build as build_backbone
from collapselab.config.training import Backbone, Regime
from collapselab.methods.barlow_twins import BarlowTwins
from collapselab.methods.base import Method
from collapselab.methods.byol import BYOL
from collapselab.methods.dino import DINO
from collapselab.methods.directclr import DirectCLR
from collapselab.methods.ijepa import IJEPA
from collapselab.methods.moco_v3 import MoCoV3
from collapselab.methods.simclr import SimCLR
from collapselab.methods.simsiam import SimSiam
from collapselab.methods.supervised import Supervised
from collapselab.methods.token_distillation import TokenDistillation
from collapselab.methods.vicreg import VICReg

METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        TokenDistillation,
        SimSiam,
        BYOL,
        SimCLR,
        MoCoV3,
        DirectCLR,
        BarlowTwins,
        VICReg,
        DINO,
        IJEPA,
        Supervised,
    )
}


def build(regime: Regime, backbone: Backbone, image_size: int, classes: int) -> Method:
    """The regime's method with fresh weights, from torch's global generator: seed it first."""
    method: Any = METHODS[regime.method]
    made: Method = method(regime, build_backbone(backbone, image_size), classes)
    return made
