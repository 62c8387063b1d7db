"""Random boxes as torchvision draws them: of a crop, and of the area that is erased."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from collapselab.config.data import Crop

ATTEMPTS = 10  # torchvision draws a box up to ten times until it fits
COLUMNS = 2 * ATTEMPTS + 2  # uniforms read: two an attempt, for area and aspect, two for the place


def draw_boxes(
    uniforms: Tensor, scale: tuple[float, float], ratio: tuple[float, float], side: tuple[int, int], *, proper: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Boxes of random area and log-uniform aspect, the first of ten attempts that fits.

    Args:
        uniforms: [N, 22].
        scale: bounds of the area as a fraction of the image's.
        ratio: bounds of the aspect (first side over second).
        side: the image's (first, second) side in pixels.
        proper: whether a box must be smaller than the image on both sides (RandomErasing) or may fill it (RandomResizedCrop).

    Returns:
        start and length along the first side, start and length along the second side, and whether any attempt fitted, [N]
        each, in pixels.
    """
    tries = uniforms[:, : 2 * ATTEMPTS].reshape(-1, ATTEMPTS, 2)
    place = uniforms[:, 2 * ATTEMPTS :]
    area = side[0] * side[1] * (scale[0] + (scale[1] - scale[0]) * tries[..., 0])
    low, high = math.log(ratio[0]), math.log(ratio[1])
    aspect = torch.exp(low + (high - low) * tries[..., 1])
    first, second = torch.round(torch.sqrt(area * aspect)), torch.round(torch.sqrt(area / aspect))
    limit = (side[0] - 1, side[1] - 1) if proper else side
    fits = (first >= 1) & (second >= 1) & (first <= limit[0]) & (second <= limit[1])
    chosen = fits.int().argmax(1, keepdim=True)  # the first that fits, 0 where none does
    first, second, fits = (each.gather(1, chosen)[:, 0] for each in (first, second, fits))
    start_first = torch.floor(place[:, 0] * (side[0] - first + 1))
    start_second = torch.floor(place[:, 1] * (side[1] - second + 1))
    return start_first, first, start_second, second, fits


def crop_boxes(uniforms: Tensor, crop: Crop, height: int, width: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """torchvision's RandomResizedCrop boxes: (left, width, top, height), [N] each, in pixels."""
    left, box_width, top, box_height, fits = draw_boxes(uniforms, crop.scale, crop.ratio, (width, height), proper=False)
    # Where no attempt fits, torchvision takes the largest central box whose aspect lies within the bounds.
    aspect = min(max(width / height, crop.ratio[0]), crop.ratio[1])
    whole_width = width if width / height <= aspect else round(height * aspect)
    whole_height = height if width / height >= aspect else round(width / aspect)
    box_width = torch.where(fits, box_width, float(whole_width))
    box_height = torch.where(fits, box_height, float(whole_height))
    left = torch.where(fits, left, float((width - whole_width) // 2))
    top = torch.where(fits, top, float((height - whole_height) // 2))
    return left, box_width, top, box_height
