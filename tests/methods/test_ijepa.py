"""I-JEPA: masks, the encoder on some of its tokens, positions, the loss."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.methods.helpers import CONFIGS, VIT, batch_for, changed, method_of

from collapselab.backbones import VisionTransformer
from collapselab.errors import UserError
from collapselab.methods.ijepa import IJEPA, sine_cosine
from collapselab.methods.masks import MultiBlock

PUBLISHED = {"targets": 4, "target_scale": (0.15, 0.2), "target_aspect": (0.75, 1.5), "context_scale": (0.85, 1.0)}


def masks_of(side: int, min_keep: int = 4, **keys: object) -> MultiBlock:
    return MultiBlock(side, **(PUBLISHED | keys), min_keep=min_keep)  # type: ignore[arg-type]


def draws(masks: MultiBlock, count: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((count, masks.columns), dtype=np.float32))


def block(numbers: torch.Tensor, side: int) -> tuple[int, int, int, int]:
    """Top, left, height and width of the smallest box around patches, which must fill it."""
    rows, columns = numbers // side, numbers % side
    top, left = int(rows.min()), int(columns.min())
    height, width = int(rows.max()) - top + 1, int(columns.max()) - left + 1
    assert len(set(numbers.tolist())) == height * width == len(numbers)
    return top, left, height, width


@pytest.mark.parametrize("side", [4, 8, 14])
def test_targets_are_blocks_of_the_published_area_and_the_context_shares_no_patch_with_them(side: int) -> None:
    masks = masks_of(side)
    for seed in range(20):
        context, targets = masks(draws(masks, 16, seed))
        assert targets.shape[:2] == (16, 4) and context.shape[1] >= 4
        shapes = {block(one, side)[2:] for image in targets for one in image}
        ((height, width),) = shapes  # one size for a batch
        assert abs(math.sqrt(height * width) - side * math.sqrt(0.175)) < 1  # sides are rounded
        for seen, image in zip(context, targets, strict=True):
            assert len(set(seen.tolist())) == len(seen) and seen.tolist() == sorted(seen.tolist())
            if side > 4:  # four blocks can leave too little of a 4 x 4 grid
                assert not set(seen.tolist()) & set(image.flatten().tolist())


def test_on_an_8_by_8_grid_targets_have_about_9_to_12_patches() -> None:
    masks = masks_of(8)
    sizes = {masks(draws(masks, 1, seed))[1].shape[2] for seed in range(200)}
    assert sizes <= {9, 12, 16} and {9, 12} <= sizes  # sides of 3 and 4, rounded from 2.7 to 4.4


def test_no_row_or_column_is_missed() -> None:
    masks = masks_of(8)
    context, targets = zip(*(masks(draws(masks, 64, seed)) for seed in range(8)), strict=True)
    edges = {"last row": range(56, 64), "first row": range(8), "last column": range(7, 64, 8)}
    for edge in edges.values():
        for drawn in (torch.cat([one.flatten() for one in context]), torch.cat([one.flatten() for one in targets])):
            share = torch.isin(drawn, torch.tensor(list(edge))).float().mean()
            assert share > 0.04
    # Of the context, the last row is left as often as the first: what is cut off to stack a batch is random.
    patches = torch.cat([one.flatten() for one in context])
    first, last = (int((patches // 8 == row).sum()) for row in (0, 7))
    assert abs(first - last) < 0.15 * first


def test_extreme_draws_stay_inside() -> None:
    masks = masks_of(5)
    for value in (0.0, float(np.nextafter(np.float32(1), np.float32(0)))):
        uniforms = torch.full((2, masks.columns), value)
        for numbers in masks(uniforms):
            assert int(numbers.min()) >= 0 and int(numbers.max()) <= 24


def test_where_targets_cover_the_context_it_shares_patches_with_the_last_of_them() -> None:
    masks = masks_of(4, targets=4, target_scale=(0.25, 0.25), target_aspect=(1.0, 1.0), context_scale=(1.0, 1.0))
    uniforms = torch.zeros(1, masks.columns)
    corners = [[0.0, 0.0], [0.0, 0.99], [0.99, 0.0], [0.99, 0.99]]  # four quarters of the image, in every attempt
    uniforms[:, 5 : 5 + 32] = torch.tensor(corners * 4).flatten()
    context, targets = masks(uniforms)
    assert sorted(targets.flatten().tolist()) == list(range(16))
    assert context.tolist() == [targets[0, 3].tolist()]


def test_masks_are_each_images_own_draws() -> None:
    masks = masks_of(8)
    uniforms = draws(masks, 8)
    _, together = masks(uniforms)
    uniforms[1:, 3:] = draws(masks, 8, seed=1)[1:, 3:]
    _, others = masks(uniforms)
    assert torch.equal(together[0], others[0]) and not torch.equal(together[1], others[1])


def test_the_encoder_on_all_patches_is_the_encoder() -> None:
    torch.manual_seed(0)
    vit = VisionTransformer(VIT, 32).eval()
    images = torch.randn(3, 3, 32, 32)
    everything = torch.arange(16).expand(3, -1)
    assert torch.equal(vit(images, everything), vit(images))
    some = torch.tensor([[0, 5, 6]]).expand(3, -1)
    changed_elsewhere = images.clone()
    changed_elsewhere[:, :, 24:] = 0  # the last row of patches, 12 to 15
    assert torch.equal(vit(images, some), vit(changed_elsewhere, some))
    assert vit(images, some).shape == (3, 4, 16)


def test_the_loss_is_smooth_l1() -> None:
    target = torch.zeros(1, 1, 2, 2)
    prediction = torch.tensor([0.5, -0.5, 3.0, -1.0]).view(1, 1, 2, 2)
    loss = method_of(CONFIGS["ijepa"]).loss({"prediction": prediction, "target": target})["loss"]
    assert float(loss) == pytest.approx((0.125 + 0.125 + 2.5 + 0.5) / 4)


def test_predictions_and_targets_are_those_of_a_loop_over_blocks() -> None:
    method = method_of(CONFIGS["ijepa"]).eval()
    assert isinstance(method, IJEPA)
    views = method.views(batch_for(method))
    outputs = method(views)
    (images,), context, targets = views.images["view"], views.masks["context"], views.masks["targets"]
    whole = method.target(images)[:, 1:]
    for n in range(len(images)):
        tokens = method.backbone(images[n : n + 1], context[n : n + 1])[0, 1:]
        for b, rows in enumerate(targets[n]):
            for p, row in enumerate(rows):
                token = whole[n, row]
                expected = (token - token.mean()) / (token.var(unbiased=False) + 1e-5).sqrt()
                torch.testing.assert_close(outputs["target"][n, b, p], expected, atol=1e-5, rtol=1e-4)
            predictor = method.predictor
            x = torch.cat(
                [
                    predictor.inwards(tokens) + predictor.positions[context[n]],
                    predictor.mask + predictor.positions[rows],
                ]
            )  # type: ignore[operator, index]
            x = predictor.outwards(predictor.norm(predictor.blocks(x[None])))[0, -len(rows) :]  # type: ignore[operator]
            torch.testing.assert_close(outputs["prediction"][n, b], x, atol=1e-5, rtol=1e-4)


def test_without_a_predictor_every_target_gets_the_contexts_mean() -> None:
    method = method_of(changed("ijepa", predictor="mean")).eval()
    views = method.views(batch_for(method))
    mean = method.backbone(views.images["view"][0], views.masks["context"])[:, 1:].mean(1)  # type: ignore[operator]
    torch.testing.assert_close(method(views)["prediction"][:, 3, 0], mean)


def test_positions_are_sines_and_cosines_of_row_and_column() -> None:
    positions = sine_cosine(3, 8)
    assert positions.shape == (9, 8)
    for row in range(3):
        for column in range(3):
            expected = [f(place * w) for place in (row, column) for f in (math.sin, math.cos) for w in (1.0, 0.01)]
            torch.testing.assert_close(positions[3 * row + column], torch.tensor(expected))


def test_the_layer_that_the_loss_reads_is_normalised_without_parameters() -> None:
    method = method_of(CONFIGS["ijepa"]).eval()
    layers = method.features(torch.randn(2, 3, 32, 32))
    torch.testing.assert_close(layers["target.embedding"], F.layer_norm(layers["target.representation"], (16,)))
    assert layers["representation"].shape == layers["target.representation"].shape == (2, 16, 16)


def test_a_grid_too_small_for_min_keep_is_named() -> None:
    with pytest.raises(UserError, match=r"min_keep = 17: a context block may hold 16 of the 4 x 4 patches"):
        method_of(changed("ijepa", min_keep=17))
