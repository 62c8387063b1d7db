"""The notebook's vision transformer: pre-norm blocks, CLS token and positions from N(0, 1), a final LayerNorm."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from collapselab.backbones.dropout import Dropout
from collapselab.backbones.linear import Linear
from collapselab.config.training import ViT


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)). No dropout inside the attention, as nn.MultiheadAttention's default."""

    def __init__(self, config: ViT) -> None:
        super().__init__()
        self.heads = config.heads
        self.norm1 = nn.LayerNorm(config.width)
        self.qkv = Linear(config.width, 3 * config.width)
        self.projection = Linear(config.width, config.width)
        self.norm2 = nn.LayerNorm(config.width)
        self.mlp = nn.Sequential(
            Linear(config.width, config.mlp),
            nn.GELU(),
            Dropout(config.dropout, inplace=True),
            Linear(config.mlp, config.width),
            Dropout(config.dropout, inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        x = x + self.mlp(self.norm2(x))
        return x

    def attention(self, x: Tensor) -> Tensor:
        # Three views of one product, so that its gradient is put together in one pass.
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        mixed = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.projection(mixed.transpose(1, 2).flatten(2))
        return out


class VisionTransformer(nn.Module):
    """[N, 3, H, W] -> tokens [N, 1 + T, width], the CLS token first, then the patches row by row."""

    def __init__(self, config: ViT, image_size: int) -> None:
        super().__init__()
        self.width = config.width
        self.patches = nn.Conv2d(3, config.width, config.patch, stride=config.patch)
        tokens = (image_size // config.patch) ** 2
        self.cls = nn.Parameter(torch.randn(1, 1, config.width))
        self.positions = nn.Parameter(torch.randn(1, 1 + tokens, config.width))
        self.dropout = Dropout(config.dropout, inplace=True)
        self.blocks = nn.Sequential(*(Block(config) for _ in range(config.depth)))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, images: Tensor, visible: Tensor | None = None) -> Tensor:
        """All tokens, or those of the CLS token and the patches whose numbers `visible` [N, K] holds: [N, 1 + K, width]."""
        patches = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(images), -1, -1), patches], 1) + self.positions
        if visible is not None:
            x = torch.cat([x[:, :1], take(x[:, 1:], visible)], 1)
        tokens: Tensor = self.norm(self.blocks(self.dropout(x)))
        return tokens


def take(tokens: Tensor, rows: Tensor) -> Tensor:
    """The tokens [N, K, width] of [N, T, width] whose numbers `rows` [N, K] holds."""
    return tokens.gather(1, rows[..., None].expand(-1, -1, tokens.shape[-1]))
