"""Dropout for CPUs, where `torch.nn.Dropout` spends most of its time on `bernoulli_`, one draw a value.

NumPy makes and applies the masks, in about two thirds of torch's time: its generator SFC64 is faster than torch's, and its products
of floats and bools convert a few kilobytes at a time, where torch writes the whole mask out as floats first.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

LEVELS = 1 << 16  # values of 16 random bits: rates are multiples of 1 / LEVELS
PART = 1 << 19  # values of a thread's part, at least: fewer aren't worth a hand-over


class Dropout(nn.Module):
    """`torch.nn.Dropout` with four values served by one 64-bit draw, of a generator that torch's global one seeds.

    The rate is `rate` rounded to 1 / 65,536, and kept values are divided by exactly the share that is kept, so the mean is
    unbiased. Identity in eval mode and, without a draw, at rate 0.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.rate:
            return x
        if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.float64):
            return F.dropout(x, self.rate)  # a GPU draws its masks inside the kernel, and NumPy has no bfloat16
        dropped: Tensor = _Dropout.apply(x, min(round(self.rate * LEVELS), LEVELS - 1))
        return dropped

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


def keep_mask(x: Tensor, level: int) -> Tensor:
    """A bool for each value of `x`, false with probability level / LEVELS."""
    seed = int(torch.empty((), dtype=torch.int64).random_())
    words = np.random.SFC64(seed).random_raw(-(-x.numel() // 4))
    return torch.from_numpy(words.view(np.uint16)[: x.numel()] >= level).view(x.shape)


class _Dropout(torch.autograd.Function):
    """x * mask / share kept; the gradient goes through the same mask, which is kept as one byte a value."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, level: int) -> Tensor:
        keep = keep_mask(x, level)
        ctx.save_for_backward(keep)
        ctx.scale = LEVELS / (LEVELS - level)
        return _masked(x, keep, ctx.scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (keep,) = ctx.saved_tensors
        return _masked(grads[0], keep, ctx.scale), None


def _masked(x: Tensor, keep: Tensor, scale: float) -> Tensor:
    """x * keep * scale, a new tensor; by parts side by side, as a product of NumPy's uses one core."""
    out = x * scale
    values, kept = out.numpy(), keep.numpy()
    parts = min(torch.get_num_threads(), x.numel() // PART)
    if parts < 2:
        _mask(values, kept)
    else:
        done = _threads(parts).map(_mask, np.array_split(values, parts), np.array_split(kept, parts))
        deque(done, maxlen=0)
    return out


def _mask(values: NDArray[Any], keep: NDArray[np.bool_]) -> None:
    np.multiply(values, keep, out=values)


@cache
def _threads(number: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(number, thread_name_prefix="dropout")
