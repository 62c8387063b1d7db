"""Augmentation of whole uint8 batches in torch, each image its own draw, on the device that the batch is on.

The distributions are those of torchvision's per-image transforms, which are the oracle of the tests. Draws are not consumed
from a stream: image i reads row i of a table of uniforms (see `randomness`), so its augmentation depends on (seed, purpose,
epoch, i) alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from collapselab.config.data import Branch, Crop, Erase, Jitter, Source
from collapselab.data.dataset import Manifest

ATTEMPTS = 10  # torchvision draws a box up to ten times until it fits

Step = tuple[int, Callable[[Tensor, Tensor], Tensor]]  # uniforms read per image, and the function that reads them


@dataclass(frozen=True)
class Normalisation:
    """Channel mean and standard deviation on a 0 to 1 scale, [3] each."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, mean: list[float], std: list[float], device: torch.device | str = "cpu") -> Normalisation:
        """From lists of three; a channel without variance is left unscaled."""
        return cls(torch.tensor(mean, device=device), torch.tensor([value or 1.0 for value in std], device=device))

    @classmethod
    def for_data(cls, config: Source, manifest: Manifest, device: torch.device | str = "cpu") -> Normalisation:
        """What the study names, else the training images' own statistics."""
        chosen = config.normalisation
        mean, std = (list(chosen.mean), list(chosen.std)) if chosen else (manifest.mean, manifest.std)
        return cls.of(mean, std, device)

    def __call__(self, images: Tensor) -> Tensor:
        """[N, 3, H, W] on a 0 to 1 scale -> normalised."""
        return (images - self.mean[:, None, None]).div_(self.std[:, None, None])

    def undo(self, images: Tensor) -> Tensor:
        return (images * self.std[:, None, None] + self.mean[:, None, None]).clamp(0, 1)


def width(branch: Branch) -> int:
    """Uniforms that one view of one image reads: the same for every image, so that rows have a fixed length."""
    return sum(columns for columns, _ in _before(branch) + _after(branch))


def augment(images: Tensor, uniforms: Tensor, branch: Branch, normalise: Normalisation) -> Tensor:
    """One augmented, normalised view of each image.

    Args:
        images: [N, 3, H, W] uint8.
        uniforms: [N, width(branch)] in [0, 1), float32, on the images' device.

    Returns:
        [N, 3, H, W] float32.
    """
    batch, rest = _apply(_before(branch), images.float().div_(255), uniforms)
    return _apply(_after(branch), normalise(batch), rest)[0]


def clean(images: Tensor, normalise: Normalisation) -> Tensor:
    """The images as they are, normalised: what evaluation sees."""
    return normalise(images.float().div_(255))


def _apply(steps: list[Step], batch: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
    for columns, step in steps:
        batch = step(batch, uniforms[:, :columns])
        uniforms = uniforms[:, columns:]
    return batch, uniforms


def _before(branch: Branch) -> list[Step]:
    """Steps on the 0 to 1 scale, in the order of Branch's fields."""
    steps: list[Step] = []
    if branch.crop or branch.flip:
        steps.append((_BOX + 1, partial(crop_and_flip, crop=branch.crop, flip=branch.flip)))
    if branch.rotate:
        steps.append((1, partial(rotate, degrees=branch.rotate)))
    if branch.jitter:
        steps.append((9, partial(jitter, config=branch.jitter)))
    if branch.grayscale:
        steps.append((1, partial(grayscale, probability=branch.grayscale)))
    return steps


def _after(branch: Branch) -> list[Step]:
    """Steps on the normalised scale, where 0 is the mean colour."""
    return [(1 + _BOX, partial(erase, config=branch.erase))] if branch.erase else []


# ---- boxes: two uniforms an attempt for area and aspect, two for the place

_BOX = 2 * ATTEMPTS + 2


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
    first, second = first.gather(1, chosen)[:, 0], second.gather(1, chosen)[:, 0]
    start_first = torch.floor(place[:, 0] * (side[0] - first + 1))
    start_second = torch.floor(place[:, 1] * (side[1] - second + 1))
    return start_first, first, start_second, second, fits.any(1)


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


def crop_and_flip(batch: Tensor, uniforms: Tensor, crop: Crop | None, flip: float) -> Tensor:
    """RandomResizedCrop to the image's own size, then RandomHorizontalFlip, as one pass.

    Bilinear interpolation is separable and reads inside the box only: columns by a matrix product, then rows in pairs.
    """
    height, width_ = batch.shape[-2:]
    count = len(batch)
    if crop:
        left, box_width, top, box_height = crop_boxes(uniforms[:, 1:], crop, height, width_)
    else:
        zero = torch.zeros(count, device=batch.device)
        left, box_width, top, box_height = zero, zero + width_, zero, zero + height
    across = sampled(left, box_width, width_)
    columns = interpolation(torch.where((uniforms[:, 0] < flip)[:, None], across.flip(1), across), width_)
    # All channels' lines of an image are one matrix as they lie.
    return blend_rows((batch.flatten(1, 2) @ columns.transpose(1, 2)).view_as(batch), sampled(top, box_height, height))


def blend_rows(batch: Tensor, position: Tensor) -> Tensor:
    """The rows of [N, C, H, W] at the positions [N, H], bilinearly: half the time of a second matrix product."""
    count, channels, height, width_ = batch.shape
    above = position.floor()
    lines = batch.reshape(-1, width_)
    first = torch.arange(0, len(lines), height, device=batch.device).view(count, channels, 1)
    upper = lines.index_select(0, (first + above.long()[:, None]).flatten())
    lower = lines.index_select(0, (first + (above + 1).clamp_(max=height - 1).long()[:, None]).flatten())
    share = (position - above)[:, None].expand(-1, channels, -1).reshape(-1, 1)
    return torch.lerp(upper, lower, share).view_as(batch)


def sampled(start: Tensor, length: Tensor, size: int) -> Tensor:
    """Where `size` samples of the pixels start .. start + length - 1 of each line fall, [N, size]: pixel centres, in pixels.

    Clamped to the box. Boxes are never larger than the line, so no antialiasing is called for.
    """
    grid = torch.arange(size, device=start.device, dtype=start.dtype)
    position = (grid + 0.5) * (length / size)[:, None] - 0.5
    return position.clamp(min=0).minimum(length[:, None] - 1) + start[:, None]


def interpolation(position: Tensor, size: int) -> Tensor:
    """Matrices [N, samples, size] that read lines of `size` pixels at the positions [N, samples], bilinearly."""
    grid = torch.arange(size, device=position.device, dtype=position.dtype)
    return (position[..., None] - grid).abs_().neg_().add_(1).clamp_(min=0)


def rotate(batch: Tensor, uniforms: Tensor, degrees: float) -> Tensor:
    """RandomRotation about the centre, nearest pixel, black outside, as torchvision's default."""
    height, width_ = batch.shape[-2:]
    angle = torch.deg2rad((2 * uniforms[:, 0] - 1) * degrees)
    # Pixel centres x + iy from the middle, in half pixels. y points down, so a product with exp(i angle) is the inverse of a turn
    # counter-clockwise as seen: from output pixels to input pixels.
    x, y = (2.0 * torch.arange(side, device=batch.device) + 1 - side for side in (width_, height))
    pixels = torch.complex(x.expand(height, width_), y[:, None].expand(height, width_))
    source = torch.view_as_real(torch.polar(torch.ones_like(angle), angle)[:, None, None] * pixels)
    source /= _constant((width_, height), batch)  # grid_sample's units: half a side
    return grid_sample(batch, source, mode="nearest", padding_mode="zeros", align_corners=False)


@cache
def _constant_on(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=dtype, device=device)


def _constant(values: tuple[float, ...], like: Tensor) -> Tensor:
    """The values in the dtype and on the device of `like`: brought there once, as each transfer waits for the device."""
    return _constant_on(values, like.dtype, like.device)


# ---- colours

_GREY = (0.2989, 0.587, 0.114)  # the luma weights of torchvision's rgb_to_grayscale


def luma(batch: Tensor) -> Tensor:
    """[N, 3, H, W] -> [N, 1, H, W]."""
    return (batch * _constant(_GREY, batch)[:, None, None]).sum(1, keepdim=True)


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
    for place in range(len(adjustments)):
        for number, (limit, adjust) in enumerate(adjustments):
            if not limit:
                continue
            change, chosen = strength[:, number] * limit, applied & (order[:, place] == number)
            batch = _adjust_rows(batch, chosen, change[:, None, None, None], adjust)
    return batch


def _adjust_rows(batch: Tensor, chosen: Tensor, change: Tensor, adjust: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """`adjust` of the chosen images [N] by their changes [N, 1, 1, 1]; the others as they are."""
    if batch.is_cuda:  # all of them and a choice: which rows are chosen, the CPU would have to wait for
        return torch.where(chosen[:, None, None, None], adjust(batch, change), batch)
    rows = torch.nonzero(chosen)[:, 0]
    return batch.index_copy(0, rows, adjust(batch[rows], change[rows]))


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
    k = (_constant((5.0, 3.0, 1.0), batch)[:, None, None] + 6 * hue[:, None]) % 6
    return value[:, None] - chroma[:, None] * torch.minimum(k, 4 - k).clamp(0, 1)


def erase(batch: Tensor, uniforms: Tensor, config: Erase) -> Tensor:
    """RandomErasing with value 0 on normalised images; where no attempt fits, the image stays whole."""
    height, width_ = batch.shape[-2:]
    top, tall, left, wide, fits = draw_boxes(uniforms[:, 1:], config.scale, config.ratio, (height, width_), proper=True)
    y, x = torch.arange(height, device=batch.device), torch.arange(width_, device=batch.device)
    rows = (y >= top[:, None]) & (y < (top + tall)[:, None])
    columns = (x >= left[:, None]) & (x < (left + wide)[:, None])
    chosen = fits & (uniforms[:, 0] < config.probability)
    erased = (rows & chosen[:, None])[:, :, None].float() * columns[:, None].float()
    return batch * (1 - erased)[:, None]  # a product, as filling under a mask takes a CPU many times as long
