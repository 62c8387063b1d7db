"""Our dropout has torch's distribution: shares, means and independence within what the binomial allows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from collapselab.backbones import dropout
from collapselab.backbones.dropout import LEVELS, Dropout

SIDE = 1000  # a million values: a share is known to 0.0005


def trained(rate: float, *, inplace: bool = False) -> Dropout:
    return Dropout(rate, inplace=inplace).train()


def kept_of(count: int, level: int) -> Tensor:
    """A bool for each of so many values, at a rate of level / LEVELS."""
    return trained(level / LEVELS)(torch.ones(count)) != 0


@pytest.mark.parametrize("rate", [0.001, 0.1, 0.5, 0.9])
def test_the_share_dropped_is_the_rate(rate: float) -> None:
    torch.manual_seed(0)
    dropped = (trained(rate)(torch.ones(SIDE, SIDE)) == 0).double().mean()
    assert abs(dropped - rate) < 4 * (rate * (1 - rate)) ** 0.5 / SIDE + 0.5 / LEVELS


@pytest.mark.parametrize("rate", [0.1, 1 / 3, 0.5])
def test_kept_values_are_divided_by_exactly_the_share_kept(rate: float) -> None:
    torch.manual_seed(0)
    out = trained(rate)(torch.ones(SIDE, SIDE))
    expected = LEVELS / (LEVELS - round(rate * LEVELS))
    torch.testing.assert_close(out.unique(), torch.tensor([0.0, expected]))
    assert expected == pytest.approx(1 / (1 - rate), rel=2e-5)


def test_a_rate_near_one_keeps_something() -> None:
    torch.manual_seed(0)
    out = trained(1 - 1e-9)(torch.ones(4 * SIDE, SIDE))
    assert set(out.unique().tolist()) == {0.0, float(LEVELS)}


def test_every_one_of_the_levels_is_drawn_alike() -> None:
    """Two levels beside each other differ by one 65,536th of the values: no bit of the words is stuck or favoured."""
    for level in (1, LEVELS // 2, LEVELS - 1):
        torch.manual_seed(0)
        dropped = (~kept_of(4 * SIDE * SIDE, level)).double().mean()
        p = level / LEVELS
        assert abs(dropped - p) < 4 * (p * (1 - p)) ** 0.5 / (4 * SIDE**2) ** 0.5


def test_the_four_values_of_a_word_and_neighbouring_words_are_independent() -> None:
    torch.manual_seed(0)
    kept = kept_of(4 * SIDE * SIDE, LEVELS // 4).double()
    kept -= kept.mean()
    variance = float(kept.square().mean())
    for lag in (1, 2, 3, 4, 8, 256, SIDE):
        correlation = float((kept[:-lag] * kept[lag:]).mean()) / variance
        assert abs(correlation) < 4 / (2 * SIDE)
    lanes = kept.view(-1, 4)
    assert (lanes.mean(0).abs() < 4 * variance**0.5 / SIDE).all()


def test_the_gradient_goes_through_the_same_mask() -> None:
    torch.manual_seed(0)
    x = torch.randn(37, 11, requires_grad=True)
    out = trained(0.3)(x)
    upstream = torch.randn_like(out)
    out.backward(upstream)
    factor = torch.where(out.detach() == 0, 0.0, LEVELS / (LEVELS - round(0.3 * LEVELS)))
    torch.testing.assert_close(out.detach(), x.detach() * factor)
    torch.testing.assert_close(x.grad, upstream * factor)


@pytest.mark.parametrize("shape", [(37, 11), (2, 5, 3), (1, 64)])
def test_parts_side_by_side_are_the_whole(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    x, upstream = torch.randn(shape), torch.randn(shape[::-1]).permute(*reversed(range(len(shape))))

    def both() -> tuple[Tensor, Tensor]:
        torch.manual_seed(0)
        wanted = x.clone().requires_grad_()
        out = trained(0.3)(wanted)
        out.backward(upstream)  # whose lines do not lie one after the other
        assert wanted.grad is not None
        return out.detach(), wanted.grad

    whole = both()
    monkeypatch.setattr(dropout, "PART", 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    for part, expected in zip(both(), whole, strict=True):
        assert torch.equal(part, expected)


@pytest.mark.parametrize("turned", [False, True], ids=["as it lies", "transposed"])
def test_in_place_gives_the_same_values_and_gradients(turned: bool) -> None:
    leaf = torch.randn(11, 37)

    def both(inplace: bool) -> tuple[Tensor, Tensor, bool]:
        torch.manual_seed(0)
        x = leaf.clone().requires_grad_()
        shifted = x + 1
        seen = shifted.t() if turned else shifted
        out = trained(0.3, inplace=inplace)(seen)
        out.square().sum().backward()
        assert x.grad is not None
        return out.detach(), x.grad, out.data_ptr() == seen.data_ptr()

    values, gradients, _ = both(inplace=False)
    again, same, shared = both(inplace=True)
    assert torch.equal(values, again) and torch.equal(gradients, same)
    assert shared is not turned  # what does not lie in one piece is copied


def test_equal_seeds_draw_equal_masks_and_each_call_another() -> None:
    x = torch.ones(65, 33)

    def two(seed: int) -> tuple[Tensor, Tensor]:
        torch.manual_seed(seed)
        layer = trained(0.5)
        return layer(x), layer(x)

    first, again, other = two(1), two(1), two(2)
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], first[1]) and not torch.equal(first[0], other[0])


@pytest.mark.parametrize("dropout", [Dropout(0.5).eval(), Dropout(0.0).train()], ids=["eval", "rate 0"])
def test_nothing_is_dropped_or_drawn_in_eval_mode_and_at_rate_0(dropout: Dropout) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    x = torch.randn(5, 3)
    after = torch.get_rng_state()
    assert dropout(x) is x
    assert torch.equal(torch.get_rng_state(), after) and not torch.equal(before, after)


def test_masks_do_not_depend_on_the_number_of_threads() -> None:
    threads = torch.get_num_threads()
    masks = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            torch.manual_seed(3)
            masks.append(kept_of(SIDE * SIDE, LEVELS // 3))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*masks)


@pytest.mark.parametrize("flush", [True, False])
def test_threads_flush_denormals_as_the_one_that_calls(flush: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropout, "PART", 400)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    torch.manual_seed(0)
    try:
        torch.set_flush_denormal(flush)
        out = trained(0.1)(torch.full((SIDE, 40), 1e-39)).view(torch.int32)
    finally:
        torch.set_flush_denormal(False)
    assert float((out == 0).double().mean()) == pytest.approx(1.0 if flush else 0.1, abs=0.01)


def test_bfloat16_is_left_to_torch() -> None:
    torch.manual_seed(0)
    out = trained(0.5)(torch.ones(SIDE, dtype=torch.bfloat16))
    assert out.dtype == torch.bfloat16 and set(out.tolist()) == {0.0, 2.0}
