"""Dropout from random integers: on a CPU, `torch.nn.Dropout` spends most of its time on `bernoulli_`, one draw a value."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = 1 << 16  # values of 16 random bits: rates are multiples of 1 / LEVELS


class Dropout(nn.Module):
    """`torch.nn.Dropout` with four values served by one 64-bit draw of torch's global generator.

    The rate is `rate` rounded to 1 / 65,536, and kept values are divided by exactly the share that is kept, so the mean is
    unbiased. Identity in eval mode and, without a draw, at rate 0.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.rate:
            return x
        if x.device.type != "cpu":  # a GPU draws its masks inside the kernel
            return F.dropout(x, self.rate)
        dropped: Tensor = _Dropout.apply(x, min(round(self.rate * LEVELS), LEVELS - 1))
        return dropped

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


def keep_mask(x: Tensor, level: int) -> Tensor:
    """A bool for each value of `x`, false with probability level / LEVELS."""
    words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(1 << 63), None)
    return (words.view(torch.int16)[: x.numel()] >= level - LEVELS // 2).view(x.shape)


class _Dropout(torch.autograd.Function):
    """x * mask / share kept; the gradient goes through the same mask, which is kept as one byte a value."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, level: int) -> Tensor:
        keep = keep_mask(x, level)
        ctx.save_for_backward(keep)
        ctx.scale = LEVELS / (LEVELS - level)
        return (x * keep).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (keep,) = ctx.saved_tensors
        return (grads[0] * keep).mul_(ctx.scale), None
