"""CIFAR ResNet of basic blocks (He et al. 2016, section 4.2, with the 3 x 3 stem and no max-pool that SSL on CIFAR uses)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from collapselab.config.training import ResNet


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut; the first may halve the resolution."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x), inplace=True)


class CifarResNet(nn.Module):
    """[N, 3, H, W] -> [N, widths[-1]]. widths 64, 128, 256, 512 with two blocks each is the CIFAR ResNet-18."""

    def __init__(self, config: ResNet) -> None:
        super().__init__()
        self.width = config.widths[-1]
        self.stem = nn.Conv2d(3, config.widths[0], 3, config.stem_stride, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(config.widths[0])
        blocks: list[nn.Module] = []
        inputs = config.widths[0]
        for stage, (outputs, count) in enumerate(zip(config.widths, config.blocks, strict=True)):
            for block in range(count):
                blocks.append(BasicBlock(inputs, outputs, stride=2 if stage and not block else 1))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        if images.device.type in ("cpu", "cuda"):  # channels last through the whole network: a fifth faster on a CPU
            images = images.contiguous(memory_format=torch.channels_last)
        x = F.relu(self.bn(self.stem(images)), inplace=True)
        features: Tensor = self.blocks(x).mean((2, 3))
        return features
