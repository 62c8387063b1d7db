"""Augmentation of whole uint8 batches in torch, each image its own draw, on the device that the batch is on.

The distributions are those of torchvision's per-image transforms, which are the oracle of the tests. Draws are not consumed
from a stream: image i reads row i of a table of uniforms (see `randomness`), so its augmentation depends on (seed, purpose,
epoch, i) alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from collapselab.config.data import Branch, Crop, Erase, Source
from collapselab.data.boxes import COLUMNS, crop_boxes, draw_boxes
from collapselab.data.colours import grayscale, jitter
from collapselab.data.dataset import Manifest

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
        steps.append((COLUMNS + 1, partial(crop_and_flip, crop=branch.crop, flip=branch.flip)))
    if branch.rotate:
        steps.append((1, partial(rotate, degrees=branch.rotate)))
    if branch.jitter:
        steps.append((9, partial(jitter, config=branch.jitter)))
    if branch.grayscale:
        steps.append((1, partial(grayscale, probability=branch.grayscale)))
    return steps


def _after(branch: Branch) -> list[Step]:
    """Steps on the normalised scale, where 0 is the mean colour."""
    return [(1 + COLUMNS, partial(erase, config=branch.erase))] if branch.erase else []


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
    source[..., 0] /= width_  # grid_sample's units: half a side
    source[..., 1] /= height
    return grid_sample(batch, source, mode="nearest", padding_mode="zeros", align_corners=False)


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
