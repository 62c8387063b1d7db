"""Masks over the patches of an image, from draws that are addressed by image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

ATTEMPTS = 4  # sets of target blocks drawn for an image, of which the first that leaves enough context is taken
Range = tuple[float, float]


@dataclass(frozen=True)
class MultiBlock:
    """I-JEPA's masks (Assran et al. 2023, section 3): some target blocks, and one large context block without them.

    All images of a batch share the size of their blocks, as in the paper, so that they stack; where the blocks lie is each
    image's own. Images keep as many context patches as the one with the fewest, and which of them go is random too: taking the
    first ones would always drop the last rows.

    Attributes:
        side: patches along each side of the image.
        target_scale, target_aspect, context_scale: bounds of area (fraction of the image) and of height over width.
        min_keep: context patches that are left at least.
    """

    side: int
    targets: int
    target_scale: Range
    target_aspect: Range
    context_scale: Range
    min_keep: int

    @property
    def columns(self) -> int:
        """Uniforms that one image reads: 3 for sizes, 2 for its context, 2 for each target tried, 1 for each patch."""
        return 5 + 2 * self.targets * ATTEMPTS + self.side**2

    @property
    def smallest_context(self) -> int:
        return self._context_side(self.context_scale[0]) ** 2

    def __call__(self, uniforms: Tensor) -> tuple[Tensor, Tensor]:
        """uniforms [N, columns] -> numbers of context patches [N, K], rising, and of target patches [N, targets, P]."""
        sizes, place, tries, keys = torch.split(uniforms, [3, 2, 2 * self.targets * ATTEMPTS, self.side**2], dim=1)
        # The sizes are the first image's draws: a batch is made of the same images, and so shaped, however often it is run.
        area, aspect, part = (float(value) for value in sizes[0])
        height, width = self._shape(area, aspect)
        long = self._context_side(between(self.context_scale, part))
        corners = tries.reshape(-1, ATTEMPTS, self.targets, 2)
        blocks = self._block(corners, height, width)  # [N, attempts, targets, P]
        context, chosen = self._context(self._block(place, long, long), blocks)
        count = int(context.sum(1).min())
        kept = keys.masked_fill(~context, 2.0).argsort(1)[:, :count].sort(1).values
        return kept, blocks[torch.arange(len(blocks), device=blocks.device), chosen]

    def _shape(self, area: float, aspect: float) -> tuple[int, int]:
        """Height and width of the target blocks, patches, from two uniforms."""
        patches = self.side**2 * between(self.target_scale, area)
        ratio = between(self.target_aspect, aspect)
        sides = (math.sqrt(patches * ratio), math.sqrt(patches / ratio))
        height, width = (min(max(round(side), 1), self.side) for side in sides)
        return height, width

    def _context_side(self, scale: float) -> int:
        return min(max(round(self.side * math.sqrt(scale)), 1), self.side)

    def _block(self, corners: Tensor, height: int, width: int) -> Tensor:
        """Numbers [..., height * width] of the patches of blocks whose corners two uniforms [..., 2] place anywhere they fit."""
        free = corners.new_tensor([self.side - height, self.side - width])
        top, left = torch.minimum(torch.floor(corners * (free + 1)), free).long().unbind(-1)
        rows = top[..., None] + torch.arange(height, device=top.device)
        columns = left[..., None] + torch.arange(width, device=top.device)
        return (rows[..., :, None] * self.side + columns[..., None, :]).flatten(-2)

    def _context(self, context: Tensor, blocks: Tensor) -> tuple[Tensor, Tensor]:
        """Which patches are context, [N, T] of bool, and which attempt's targets they go with, [N].

        The first attempt that leaves min_keep context patches. Where none does, the context of the first attempt may share
        patches with the last target, with the last two, and so on.
        """
        inside = self._filled(context)[:, None]
        covered = self._filled(blocks)  # [N, attempts, targets, T]
        clear = inside & ~covered.any(2)
        fewer = [inside & ~covered[:, :1, :number].any(2) for number in reversed(range(self.targets))]
        options = torch.cat([clear, *fewer], 1)  # [N, attempts + targets, T]; the last is the whole context block
        first = (options.sum(-1) >= self.min_keep).int().argmax(1)
        chosen = torch.where(first < ATTEMPTS, first, 0)
        return options[torch.arange(len(options), device=first.device), first], chosen

    def _filled(self, numbers: Tensor) -> Tensor:
        """Patch numbers [..., P] -> [..., T], true at those patches."""
        empty = torch.zeros(*numbers.shape[:-1], self.side**2, dtype=torch.bool, device=numbers.device)
        return empty.scatter(-1, numbers, True)


def between(bounds: Range, uniform: float) -> float:
    return bounds[0] + (bounds[1] - bounds[0]) * uniform
