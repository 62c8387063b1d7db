"""Backbones: images -> representation. Each is one file; `build` makes the one that a study names."""

from __future__ import annotations

from torch import Tensor

from collapselab.backbones.resnet import CifarResNet
from collapselab.backbones.timm import TimmBackbone
from collapselab.backbones.vit import VisionTransformer
from collapselab.config.training import Backbone as BackboneConfig
from collapselab.config.training import ResNet, ViT

# Called on [N, 3, H, W], a backbone gives one vector an image [N, width], or tokens [N, 1 + T, width] with the CLS token first.
Backbone = CifarResNet | VisionTransformer | TimmBackbone

__all__ = ["Backbone", "CifarResNet", "TimmBackbone", "VisionTransformer", "build", "pooled", "summary"]


def build(config: BackboneConfig, image_size: int) -> Backbone:
    """A freshly initialised backbone, from torch's global generator.

    Raises UserError for a timm model where timm is missing or doesn't know its name.
    """
    if isinstance(config, ViT):
        return VisionTransformer(config, image_size)
    if isinstance(config, ResNet):
        return CifarResNet(config)
    return TimmBackbone(config.model, image_size)


def pooled(output: Tensor) -> Tensor:
    """The representation of an image as one vector [N, width]: as it is, or the mean of the patch tokens."""
    return output if output.ndim == 2 else output[:, 1:].mean(1)


def summary(output: Tensor) -> Tensor:
    """The representation of an image as one vector [N, width]: as it is, or the CLS token."""
    return output if output.ndim == 2 else output[:, 0]
