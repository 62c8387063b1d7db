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


@dataclass(frozen=True)
class Step:
    """One transform of a batch.

    Attributes:
        columns: uniforms read per image.
        apply: (batch, decisions [N, decisions of an image]) -> batch.
        decisions: numbers that say what is done to one image: its uniforms, unless `decide` makes fewer of them.
        decide: (uniforms [N, columns], (height, width)) -> [N, decisions].
    """

    columns: int
    apply: Callable[[Tensor, Tensor], Tensor]
    decisions: int
    decide: Callable[[Tensor, tuple[int, int]], Tensor] = lambda uniforms, side: uniforms

    @classmethod
    def as_drawn(cls, columns: int, apply: Callable[[Tensor, Tensor], Tensor]) -> Step:
        return cls(columns, apply, columns)


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
    return sum(step.columns for step in _before(branch) + _after(branch))


def augment(images: Tensor, uniforms: Tensor, branch: Branch, normalise: Normalisation) -> Tensor:
    """One augmented, normalised view of each image.

    Args:
        images: [N, 3, H, W] uint8.
        uniforms: [N, width(branch)] in [0, 1), float32, on the images' device.

    Returns:
        [N, 3, H, W] float32.
    """
    return see(images, decide(uniforms, branch, images.shape[-2:]), branch, normalise)


def decide(uniforms: Tensor, branch: Branch, side: tuple[int, ...]) -> Tensor:
    """What the uniforms [N, width(branch)] bring about, for `see`: [N, fewer], as boxes take the place of attempts at them.

    Apart from `see`, so that the images of an epoch need it once: small batches would spend a tenth of their time here.

    Args:
        side: height and width of the images.
    """
    steps = _before(branch) + _after(branch)
    parts = torch.split(uniforms, [step.columns for step in steps], 1)
    height, width_ = side
    decided = [step.decide(part, (height, width_)) for step, part in zip(steps, parts, strict=True)]
    return torch.cat(decided, 1) if decided else uniforms


def see(images: Tensor, decisions: Tensor, branch: Branch, normalise: Normalisation) -> Tensor:
    """`augment` of images [N, 3, H, W] uint8 whose draws are decided, [N, 3, H, W] float32."""
    batch, rest = _apply(_before(branch), images.float().div_(255), decisions)
    return _apply(_after(branch), normalise(batch), rest)[0]


def clean(images: Tensor, normalise: Normalisation) -> Tensor:
    """The images as they are, normalised: what evaluation sees."""
    return normalise(images.float().div_(255))


def _apply(steps: list[Step], batch: Tensor, decisions: Tensor) -> tuple[Tensor, Tensor]:
    for step in steps:
        batch = step.apply(batch, decisions[:, : step.decisions])
        decisions = decisions[:, step.decisions :]
    return batch, decisions


def _before(branch: Branch) -> list[Step]:
    """Steps on the 0 to 1 scale, in the order of Branch's fields."""
    steps: list[Step] = []
    if branch.crop or branch.flip:
        steps.append(
            Step(COLUMNS + 1, partial(crop_and_flip, flip=branch.flip), 5, partial(decide_crop, crop=branch.crop))
        )
    if branch.rotate:
        steps.append(Step.as_drawn(1, partial(rotate, degrees=branch.rotate)))
    if branch.jitter:
        steps.append(Step.as_drawn(9, partial(jitter, config=branch.jitter)))
    if branch.grayscale:
        steps.append(Step.as_drawn(1, partial(grayscale, probability=branch.grayscale)))
    return steps


def _after(branch: Branch) -> list[Step]:
    """Steps on the normalised scale, where 0 is the mean colour."""
    if not branch.erase:
        return []
    return [Step(1 + COLUMNS, erase, 5, partial(decide_erasure, config=branch.erase))]


def decide_crop(uniforms: Tensor, side: tuple[int, int], crop: Crop | None) -> Tensor:
    """Left, width, top and height of each image's box, in pixels, and the draw that its flip depends on: [N, 5]."""
    height, width_ = side
    if crop:
        box = torch.stack(crop_boxes(uniforms[:, 1:], crop, height, width_), 1)
    else:
        box = uniforms.new_tensor([0, width_, 0, height]).expand(len(uniforms), -1)
    return torch.cat([box, uniforms[:, :1]], 1)


def crop_and_flip(batch: Tensor, decisions: Tensor, flip: float) -> Tensor:
    """RandomResizedCrop to the image's own size, then RandomHorizontalFlip, as one pass.

    Bilinear interpolation is separable and reads inside the box only: columns by a matrix product, then rows in pairs.
    """
    height, width_ = batch.shape[-2:]
    left, box_width, top, box_height, turned = decisions.unbind(1)
    across = sampled(left, box_width, width_)
    columns = interpolation(torch.where((turned < flip)[:, None], across.flip(1), across), width_)
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
    """RandomRotation of square images about their centre, nearest pixel, black outside, as torchvision's default."""
    side = batch.shape[-1]
    angle = torch.deg2rad((2 * uniforms[:, 0] - 1) * degrees)
    # Pixel centres x + iy from the middle, in half pixels. y points down, so a product with exp(i angle) is the inverse of a turn
    # counter-clockwise as seen: from output pixels to input pixels, here in grid_sample's units of half a side.
    line = 2.0 * torch.arange(side, device=batch.device) + 1 - side
    pixels = torch.complex(line.expand(side, side), line[:, None].expand(side, side))
    turn = torch.polar(torch.full_like(angle, 1 / side), angle)
    source = torch.view_as_real(turn[:, None, None] * pixels)
    return grid_sample(batch, source, mode="nearest", padding_mode="zeros", align_corners=False)


def decide_erasure(uniforms: Tensor, side: tuple[int, int], config: Erase) -> Tensor:
    """Top, height, left and width of each image's box, in pixels, and 1 where it is erased: [N, 5].

    Where no attempt fits, the image stays whole.
    """
    *box, fits = draw_boxes(uniforms[:, 1:], config.scale, config.ratio, side, proper=True)
    return torch.stack([*box, (fits & (uniforms[:, 0] < config.probability)).float()], 1)


def erase(batch: Tensor, decisions: Tensor) -> Tensor:
    """RandomErasing with value 0 on normalised images."""
    height, width_ = batch.shape[-2:]
    top, tall, left, wide, chosen = decisions.unbind(1)
    y, x = torch.arange(height, device=batch.device), torch.arange(width_, device=batch.device)
    rows = (y >= top[:, None]) & (y < (top + tall)[:, None])
    columns = (x >= left[:, None]) & (x < (left + wide)[:, None])
    erased = (rows.float() * chosen[:, None])[:, :, None] * columns[:, None].float()
    return batch * (1 - erased)[:, None]  # a product, as filling under a mask takes a CPU many times as long
