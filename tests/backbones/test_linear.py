"""Our linear layer is torch's: values, gradients and parameters."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from collapselab.backbones import linear
from collapselab.backbones.dropout import Dropout
from collapselab.backbones.linear import Linear

SHAPES = [(7, 5), (3, 11, 5), (2, 3, 4, 5), (1, 5), (0, 5)]
SERVED = linear._served(torch.zeros(1, 1), torch.zeros(1, 1))


def pair(inputs: int, outputs: int, bias: bool = True) -> tuple[Linear, nn.Linear]:
    torch.manual_seed(0)
    ours = Linear(inputs, outputs, bias=bias)
    torch.manual_seed(0)
    return ours, nn.Linear(inputs, outputs, bias=bias)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradients_are_those_of_torch(shape: tuple[int, ...], bias: bool) -> None:
    ours, theirs = pair(5, 6, bias)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    first = torch.randn(shape, requires_grad=True)
    second = first.detach().clone().requires_grad_()
    out, expected = ours(first), theirs(second)
    torch.testing.assert_close(out, expected)
    upstream = torch.randn_like(expected)
    out.backward(upstream)
    expected.backward(upstream)
    torch.testing.assert_close(first.grad, second.grad)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize(("inputs", "outputs"), [(5, 9), (9, 5), (6, 6)])
def test_weight_gradients_of_many_threads_are_those_of_one(
    inputs: int, outputs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, upstream = torch.randn(40, inputs), torch.randn(40, outputs)
    monkeypatch.setattr(linear, "LARGE", 0)
    found = []
    for threads in (1, 2):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        ours, _ = pair(inputs, outputs)
        ours(x).backward(upstream)
        assert ours.weight.grad is not None and ours.weight.grad.is_contiguous()
        found.append(ours.weight.grad)
    torch.testing.assert_close(found[0], upstream.t() @ x)
    torch.testing.assert_close(*found)


def test_what_follows_may_write_into_the_output() -> None:
    def step(inplace: bool) -> list[Tensor]:
        torch.manual_seed(1)
        layer, _ = pair(5, 6)
        x = torch.randn(3, 11, 5, requires_grad=True)
        out = Dropout(0.5, inplace=inplace)(layer(x))
        (out**2).sum().backward()
        assert x.grad is not None and layer.weight.grad is not None
        return [out, x.grad, layer.weight.grad]

    for ours, expected in zip(step(inplace=True), step(inplace=False), strict=True):
        assert torch.equal(ours, expected)


def test_sizes_of_the_founding_network() -> None:
    """Sums of 2048 terms: within float32's rounding of them, in root mean square."""
    ours, theirs = pair(2048, 1024)
    x = torch.randn(520, 2048)
    exact = F.linear(x.double(), theirs.weight.double(), theirs.bias.double())
    error = (ours(x) - exact).detach().square().mean().sqrt() / exact.detach().square().mean().sqrt()
    assert error < 2048**0.5 * torch.finfo(torch.float32).eps / 4


@pytest.mark.parametrize("strided", ["slice", "transposed", "expanded"])
def test_strided_inputs_and_gradients(strided: str) -> None:
    ours, theirs = pair(8, 6)
    base = torch.randn(4, 9, 8)
    x = {
        "slice": base[:, 1:],
        "transposed": torch.randn(8, 4).t(),
        "expanded": torch.randn(1, 1, 8).expand(4, 3, 8),
    }[strided]
    for layer in (ours, theirs):
        layer(x).sum().backward()  # the gradient of a sum is expanded
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)
    torch.testing.assert_close(ours.bias.grad, theirs.bias.grad)


def test_a_frozen_layer_passes_the_gradient_on_and_takes_none() -> None:
    ours, theirs = pair(5, 6)
    for layer in (ours, theirs):
        layer.requires_grad_(False)
    first = torch.randn(4, 5, requires_grad=True)
    second = first.detach().clone().requires_grad_()
    ours(first).square().sum().backward()
    theirs(second).square().sum().backward()
    torch.testing.assert_close(first.grad, second.grad)
    assert ours.weight.grad is None and ours.bias.grad is None


def test_the_same_bits_every_time() -> None:
    ours, _ = pair(256, 512)
    x = torch.randn(390, 256, requires_grad=True)
    found = []
    for _ in range(3):
        out = ours(x)
        found.append((out.detach(), *torch.autograd.grad(out.square().sum(), [x, ours.weight, ours.bias])))
    assert all(torch.equal(a, b) for again in found[1:] for a, b in zip(found[0], again, strict=True))


def test_double_goes_through_torch_and_has_numerical_gradients() -> None:
    ours = Linear(3, 2).double()
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert not linear._served(x, ours.weight)
    assert torch.autograd.gradcheck(ours, (x,))


@pytest.mark.skipif(not SERVED, reason="a CPU or a build of torch without oneDNN's products")
def test_served_by_onednn_unless_something_is_asked_that_it_does_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, _ = pair(5, 6)
    x = torch.randn(4, 5)
    assert type(ours(x).grad_fn).__name__ == "_LinearBackward"
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ours(x).dtype == torch.bfloat16
    monkeypatch.setattr(linear, "_product", None)
    assert type(ours(x).grad_fn).__name__ == "AddmmBackward0"
