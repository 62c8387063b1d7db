"""Backbones: images -> representation. Each is one file; `build` makes the one that a study names."""

from __future__ import annotations

from torch import Tensor

from collapselab.backbones.resnet import CifarResNet
from collapselab.backbones.vit import VisionTransformer
from collapselab.config.training import ResNet, ViT

# Called on [N, 3, H, W], a backbone gives one vector an image [N, width], or tokens [N, 1 + T, width] with the CLS token first.
Backbone = CifarResNet | VisionTransformer

__all__ = ["Backbone", "CifarResNet", "VisionTransformer", "build", "pooled"]


def build(config: ViT | ResNet, image_size: int) -> Backbone:
    """A freshly initialised backbone, from torch's global generator."""
    if isinstance(config, ViT):
        return VisionTransformer(config, image_size)
    return CifarResNet(config)


def pooled(output: Tensor) -> Tensor:
    """The representation of an image as one vector [N, width]: as it is, or the mean of the patch tokens."""
    return output if output.ndim == 2 else output[:, 1:].mean(1)
