"""Augmentation against torchvision's own per-image transforms: same boxes, same pixels, same distributions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp
from torch import Tensor
from torchvision.transforms import ColorJitter, InterpolationMode, RandomErasing, RandomResizedCrop, RandomRotation
from torchvision.transforms import functional as tv

from collapselab.config.data import Branch, Crop, Erase, Jitter
from collapselab.data import augment as ours
from collapselab.data import boxes, colours

SIDE = 32
NORMALISE = ours.Normalisation.of([0.4, 0.5, 0.6], [0.2, 0.25, 0.3])


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Smooth random colour images: real enough for interpolation, without a download."""
    coarse = torch.rand(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return (torch.nn.functional.interpolate(coarse, size=SIDE, mode="bilinear") * 255).to(torch.uint8)


def draws(count: int, columns: int, seed: int = 0) -> Tensor:
    return torch.rand(count, columns, generator=torch.Generator().manual_seed(seed))


def unit(images: Tensor) -> Tensor:
    return images.float() / 255


@pytest.mark.parametrize("scale", [(0.2, 1.0), (0.8, 1.0)])
def test_crop_boxes_are_distributed_as_torchvisions(scale: tuple[float, float]) -> None:
    count = 20_000
    left, width, top, height = boxes.crop_boxes(draws(count, 22), Crop(scale=scale), SIDE, SIDE)
    torch.manual_seed(0)
    image = torch.empty(3, SIDE, SIDE)
    reference = np.array([RandomResizedCrop.get_params(image, list(scale), [3 / 4, 4 / 3]) for _ in range(count)])
    for mine, theirs in zip((top, left, height, width), reference.T, strict=True):
        assert ks_2samp(mine.numpy(), theirs).pvalue > 1e-3
    assert ((left + width <= SIDE) & (top + height <= SIDE) & (left >= 0) & (top >= 0)).all()


def test_a_crop_that_never_fits_is_the_largest_central_box() -> None:
    left, width, top, height = boxes.crop_boxes(draws(8, 22), Crop(scale=(1.0, 1.0), ratio=(2.0, 2.0)), SIDE, SIDE)
    # torchvision's fallback for an image narrower than the lowest ratio: full width, height = width / ratio.
    assert width.eq(32).all() and height.eq(16).all() and left.eq(0).all() and top.eq(8).all()


def test_crop_pixels_equal_torchvisions_resized_crop(images: Tensor) -> None:
    uniforms = draws(len(images), 23)
    out = ours.crop_and_flip(unit(images), ours.decide_crop(uniforms, (SIDE, SIDE), Crop(scale=(0.3, 1.0))), flip=0.5)
    drawn = torch.stack(boxes.crop_boxes(uniforms[:, 1:], Crop(scale=(0.3, 1.0)), SIDE, SIDE), 1).int().tolist()
    for i, (left, width, top, height) in enumerate(drawn):
        expected = tv.resized_crop(unit(images[i]), top, left, height, width, [SIDE, SIDE], InterpolationMode.BILINEAR)
        if uniforms[i, 0] < 0.5:
            expected = tv.hflip(expected)
        torch.testing.assert_close(out[i], expected, atol=2e-6, rtol=0)


def test_flip_alone_is_exact_and_has_its_probability(images: Tensor) -> None:
    many = images[:1].expand(4000, -1, -1, -1)
    out = ours.crop_and_flip(unit(many), ours.decide_crop(draws(4000, 23), (SIDE, SIDE), None), flip=0.3)
    flipped = (out == unit(images[:1]).flip(-1)).flatten(1).all(1)
    untouched = (out == unit(images[:1])).flatten(1).all(1)
    assert (flipped ^ untouched).all()
    assert abs(flipped.float().mean() - 0.3) < 4 * (0.3 * 0.7 / 4000) ** 0.5


def test_rotation_equals_torchvisions(images: Tensor) -> None:
    uniforms = draws(len(images), 1)
    out = ours.rotate(unit(images), uniforms, degrees=15)
    for i in range(len(images)):
        expected = tv.rotate(unit(images[i]), float((2 * uniforms[i, 0] - 1) * 15))
        # Nearest-pixel rounding may differ where a source lies exactly between two pixels.
        assert ((out[i] - expected).abs() > 1e-6).float().mean() < 0.01


def test_angles_are_distributed_as_torchvisions() -> None:
    """The angle is read off the pixels of a ramp: turned by a, x becomes cos(a) x + sin(a) y near the centre."""
    count = 2000
    ramp = torch.arange(SIDE, dtype=torch.float32).expand(3, SIDE, SIDE) + 1
    torch.manual_seed(0)
    transform = RandomRotation(15)
    mine = ours.rotate(ramp.expand(count, -1, -1, -1), draws(count, 1), degrees=15)
    theirs = torch.stack([transform(ramp) for _ in range(count)])

    def angles(turned: Tensor) -> np.ndarray:
        middle = turned[:, 0, 8:24, 8:24]
        x, y = (middle.diff(dim=dim).mean((1, 2)) for dim in (2, 1))
        return torch.rad2deg(torch.atan2(y, x)).numpy()

    assert ks_2samp(angles(mine), angles(theirs)).pvalue > 1e-3
    assert np.abs(angles(mine)).max() < 16
    assert np.ptp(angles(mine)) > 29


def test_rotation_by_a_quarter_turn_is_exact(images: Tensor) -> None:
    out = ours.rotate(unit(images), torch.ones(len(images), 1), degrees=90)
    torch.testing.assert_close(out, torch.rot90(unit(images), 1, (2, 3)))


def test_erased_boxes_are_distributed_as_torchvisions() -> None:
    count = 20_000
    config = Erase(scale=(0.4, 0.5), ratio=(0.3, 3.3))
    top, tall, left, wide, fits = boxes.draw_boxes(
        draws(count, 22), config.scale, config.ratio, (SIDE, SIDE), proper=True
    )
    torch.manual_seed(0)
    image = torch.empty(3, SIDE, SIDE)
    reference = np.array(
        [RandomErasing.get_params(image, (0.4, 0.5), (0.3, 3.3), value=[0.0])[:4] for _ in range(count)]
    )
    kept = fits.numpy()
    for mine, theirs in zip((top, left, tall, wide), reference.T, strict=True):
        assert ks_2samp(mine.numpy()[kept], theirs).pvalue > 1e-3


def test_erasing_sets_one_box_to_the_mean_colour(images: Tensor) -> None:
    branch = Branch(erase=Erase(scale=(0.4, 0.5)))
    out = ours.augment(images, draws(len(images), ours.width(branch)), branch, NORMALISE)
    untouched = ours.clean(images, NORMALISE)
    erased = (out == 0).all(1)
    assert torch.equal(torch.where(erased[:, None], untouched, out), untouched)
    share = erased.float().mean((1, 2))
    assert ((share > 0.37) & (share < 0.53)).all()
    for mask in erased:
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()


@pytest.mark.parametrize(
    ("ours_adjust", "theirs_adjust", "change", "factor"),
    [
        (colours.adjust_brightness, tv.adjust_brightness, 0.4, 1.4),
        (colours.adjust_contrast, tv.adjust_contrast, -0.3, 0.7),
        (colours.adjust_saturation, tv.adjust_saturation, 0.8, 1.8),
        (colours.adjust_hue, tv.adjust_hue, 0.1, 0.1),
        (colours.adjust_hue, tv.adjust_hue, -0.45, -0.45),
    ],
)
def test_colour_adjustments_equal_torchvisions(images: Tensor, ours_adjust, theirs_adjust, change, factor) -> None:  # type: ignore[no-untyped-def]
    mine = ours_adjust(unit(images), torch.full((len(images), 1, 1, 1), change))
    torch.testing.assert_close(mine, theirs_adjust(unit(images), factor), atol=2e-5, rtol=0)


@pytest.mark.parametrize("strength", [{"brightness": 0.4}, {"contrast": 0.5}, {"saturation": 0.6}, {"hue": 0.2}])
def test_jitter_strengths_are_distributed_as_torchvisions(strength: dict[str, float]) -> None:
    """One colour image many times: whatever a draw changes shows in its channels' means and spread."""
    count = 2000
    image = torch.tensor([[0.5, 0.3, 0.2], [0.3, 0.35, 0.4]]).T[:, :, None]  # two pixels, far from black and white
    config = Jitter(probability=1.0, **strength)
    mine = colours.jitter(image.expand(count, -1, -1, -1), draws(count, 9, seed=1), config)
    torch.manual_seed(1)
    transform = ColorJitter(**strength)
    theirs = torch.stack([transform(image) for _ in range(count)])
    for channel in range(3):
        for pixel in range(2):
            pair = [values[:, channel, pixel, 0].numpy().astype(np.float64).round(5) for values in (mine, theirs)]
            assert ks_2samp(*pair).pvalue > 1e-3


def test_jitter_applies_the_four_in_each_images_own_order(images: Tensor) -> None:
    config = Jitter(probability=0.8, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
    uniforms = draws(len(images), 9, seed=3)
    out = colours.jitter(unit(images), uniforms, config)
    functions = (tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation, tv.adjust_hue)
    for i, row in enumerate(uniforms):
        expected = unit(images[i])
        if row[0] < 0.8:
            for number in row[5:9].argsort().tolist():
                limit = (0.4, 0.4, 0.4, 0.1)[number]
                change = float(2 * row[1 + number] - 1) * limit
                expected = functions[number](expected, change if number == 3 else 1 + change)
        torch.testing.assert_close(out[i], expected, atol=5e-5, rtol=0)


def test_grayscale_equals_torchvisions(images: Tensor) -> None:
    out = colours.grayscale(unit(images), torch.zeros(len(images), 1), probability=0.5)
    torch.testing.assert_close(out, tv.rgb_to_grayscale(unit(images), 3), atol=1e-6, rtol=0)


def test_an_image_is_augmented_alike_in_any_batch(images: Tensor) -> None:
    branch = Branch(
        crop=Crop(scale=(0.3, 1.0)),
        flip=0.5,
        rotate=15,
        jitter=Jitter(brightness=0.4, hue=0.1),
        grayscale=0.2,
        erase=Erase(scale=(0.1, 0.2)),
    )
    uniforms = draws(len(images), ours.width(branch))
    whole = ours.augment(images, uniforms, branch, NORMALISE)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(1))
    parts = [ours.augment(images[rows], uniforms[rows], branch, NORMALISE) for rows in order.split(7)]
    torch.testing.assert_close(torch.cat(parts), whole[order], atol=1e-6, rtol=0)


def test_everything_off_is_the_clean_image(images: Tensor) -> None:
    assert ours.width(Branch()) == 0
    out = ours.augment(images, torch.empty(len(images), 0), Branch(), NORMALISE)
    assert torch.equal(out, ours.clean(images, NORMALISE))
    torch.testing.assert_close(NORMALISE.undo(out), unit(images), atol=1e-6, rtol=0)
