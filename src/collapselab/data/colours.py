"""Colour adjustments of whole batches on the 0 to 1 scale: torchvision's ColorJitter and RandomGrayscale."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from collapselab.config.data import Jitter

_GREY = (0.2989, 0.587, 0.114)  # the luma weights of torchvision's rgb_to_grayscale


def luma(batch: Tensor) -> Tensor:
    """[N, 3, H, W] -> [N, 1, H, W]."""
    return (batch * constant(_GREY, batch)[:, None, None]).sum(1, keepdim=True)


def grayscale(batch: Tensor, uniforms: Tensor, probability: float) -> Tensor:
    """RandomGrayscale."""
    return torch.where((uniforms[:, 0] < probability)[:, None, None, None], luma(batch).expand_as(batch), batch)


def jitter(batch: Tensor, uniforms: Tensor, config: Jitter) -> Tensor:
    """ColorJitter inside RandomApply: four adjustments, in an order of each image's own.

    Reads nine uniforms an image: whether at all, four strengths, four keys whose order is the order.
    """
    strength = 2 * uniforms[:, 1:5].to(batch.dtype) - 1
    order = uniforms[:, 5:9].argsort(1)
    applied = uniforms[:, 0] < config.probability
    adjustments = (
        (config.brightness, adjust_brightness),
        (config.contrast, adjust_contrast),
        (config.saturation, adjust_saturation),
        (config.hue, adjust_hue),
    )
    batch = batch.clone()  # once: each adjustment writes the images that it changes
    for place in range(len(adjustments)):
        for number, (limit, adjust) in enumerate(adjustments):
            if not limit:
                continue
            change, chosen = strength[:, number] * limit, applied & (order[:, place] == number)
            batch = _adjust_rows(batch, chosen, change[:, None, None, None], adjust)
    return batch


def _adjust_rows(batch: Tensor, chosen: Tensor, change: Tensor, adjust: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """`adjust` of the chosen images [N] by their changes [N, 1, 1, 1]; the others as they are. May write into `batch`."""
    if batch.is_cuda:  # all of them and a choice: which rows are chosen, the CPU would have to wait for
        return torch.where(chosen[:, None, None, None], adjust(batch, change), batch)
    rows = torch.nonzero(chosen)[:, 0]
    return batch.index_copy_(0, rows, adjust(batch[rows], change[rows]))


def adjust_brightness(batch: Tensor, change: Tensor) -> Tensor:
    """Multiply by 1 + change, [N, 1, 1, 1]; clamped to 0 .. 1, as the other three."""
    return (batch * (1 + change)).clamp(0, 1)


def adjust_contrast(batch: Tensor, change: Tensor) -> Tensor:
    """Move away from the image's mean grey by the factor 1 + change."""
    mean = luma(batch).mean((1, 2, 3), keepdim=True)
    return (mean + (1 + change) * (batch - mean)).clamp(0, 1)


def adjust_saturation(batch: Tensor, change: Tensor) -> Tensor:
    """Move away from each pixel's grey by the factor 1 + change."""
    grey = luma(batch)
    return (grey + (1 + change) * (batch - grey)).clamp(0, 1)


def adjust_hue(batch: Tensor, change: Tensor) -> Tensor:
    """Turn the hue by `change` turns at constant saturation and value (through HSV)."""
    value, largest = batch.max(1)
    chroma = value - batch.min(1).values
    red, green, blue = batch.unbind(1)
    safe = torch.where(chroma > 0, chroma, 1.0)
    sector = torch.stack([(green - blue) / safe, 2 + (blue - red) / safe, 4 + (red - green) / safe], 1)
    hue = sector.gather(1, largest[:, None])[:, 0] / 6 + change[:, 0]
    # Each channel of an HSV colour is value - chroma * clamp(min(k, 4 - k), 0, 1), k = (n + 6 hue) mod 6, n = 5, 3, 1.
    k = (constant((5.0, 3.0, 1.0), batch)[:, None, None] + 6 * hue[:, None]) % 6
    return value[:, None] - chroma[:, None] * torch.minimum(k, 4 - k).clamp(0, 1)


def constant(values: tuple[float, ...], like: Tensor) -> Tensor:
    """The values in the dtype and on the device of `like`: brought there once, as each transfer waits for the device."""
    return lasting(values, like.dtype, like.device)


def lasting(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """What `constant` gives; what compiles the functions above may take it for a constant, which lies on the device already."""
    return _made(values, dtype, device)


@cache
def _made(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=dtype, device=device)
