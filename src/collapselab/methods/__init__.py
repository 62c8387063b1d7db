"""The methods, one file each. A new one is added here and nowhere else."""

from __future__ import annotations

from typing import Any

from collapselab.backbones import build as build_backbone
from collapselab.config.training import Backbone, Regime
from collapselab.methods.base import Method
from collapselab.methods.simclr import SimCLR
from collapselab.methods.simsiam import SimSiam
from collapselab.methods.supervised import Supervised
from collapselab.methods.token_distillation import TokenDistillation
from collapselab.methods.vicreg import VICReg

METHODS: dict[str, type[Method]] = {
    method.name: method for method in (SimSiam, SimCLR, VICReg, TokenDistillation, Supervised)
}


def build(regime: Regime, backbone: Backbone, image_size: int, classes: int) -> Method:
    """The regime's method with fresh weights, from torch's global generator: seed it first."""
    method: Any = METHODS[regime.method]
    made: Method = method(regime, build_backbone(backbone, image_size), classes)
    return made
