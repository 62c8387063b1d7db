"""Dropout for CPUs, where `torch.nn.Dropout` spends most of its time on `bernoulli_`, one draw a value.

NumPy makes and applies the masks, in about two thirds of torch's time: its generator SFC64 is faster than torch's, and its products
of floats and bools convert a few kilobytes at a time, where torch writes the whole mask out as floats first.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = 1 << 16  # values of 16 random bits: rates are multiples of 1 / LEVELS
# Values drawn and multiplied at a time: they stay in a core's cache from one pass to the next. A multiple of a word's four.
PART = 1 << 18


class Dropout(nn.Module):
    """`torch.nn.Dropout` with four values served by one 64-bit draw, of a generator that torch's global one seeds.

    The rate is `rate` rounded to 1 / 65,536, and kept values are divided by exactly the share that is kept, so the mean is
    unbiased. Identity in eval mode and, without a draw, at rate 0. `inplace` writes over inputs that lie in one piece, on a CPU:
    for inputs that nothing else reads, a GELU's or a Linear's output but not a ReLU's.
    """

    def __init__(self, rate: float, *, inplace: bool = False) -> None:
        super().__init__()
        self.rate, self.inplace = rate, inplace

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.rate:
            return x
        if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.float64):
            return F.dropout(x, self.rate)  # a GPU draws its masks inside the kernel, and NumPy has no bfloat16
        dropped: Tensor = _Dropout.apply(x, min(round(self.rate * LEVELS), LEVELS - 1), self.inplace)
        return dropped

    def extra_repr(self) -> str:
        return f"rate={self.rate}, inplace={self.inplace}"


class _Dropout(torch.autograd.Function):
    """x * mask / share kept; the gradient goes through the same mask, which is kept as one byte a value."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, level: int, inplace: bool) -> Tensor:
        keep = torch.empty(x.shape, dtype=torch.bool)
        ctx.save_for_backward(keep)
        ctx.level = level
        inplace = inplace and x.is_contiguous()
        if inplace:
            ctx.mark_dirty(x)
        out = x if inplace else torch.empty(x.shape, dtype=x.dtype)
        return _mask(x, keep, level, out, np.random.SFC64(int(torch.empty((), dtype=torch.int64).random_())))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (keep,) = ctx.saved_tensors
        return _mask(grads[0], keep, ctx.level, torch.empty(keep.shape, dtype=grads[0].dtype)), None, None


def _mask(x: Tensor, keep: Tensor, level: int, out: Tensor, generator: np.random.BitGenerator | None = None) -> Tensor:
    """x * keep / share kept in `out`, which may be x itself.

    Parts are worked on side by side, as NumPy uses one core; they are drawn one after the other, so that threads change no value.

    Args:
        generator: fills `keep` first, each value false with probability level / LEVELS; None reads it.
    """
    scale = LEVELS / (LEVELS - level)
    values, kept, result = (tensor.detach().contiguous().view(-1).numpy() for tensor in (x, keep, out))
    parts, turn = iter(range(0, x.numel(), PART)), Lock()

    def work() -> None:
        while True:
            with turn:
                start = next(parts, None)
                if start is None:
                    return
                part = slice(start, start + PART)
                words = generator.random_raw(-(-kept[part].size // 4)) if generator else None
            if words is not None:
                np.greater_equal(words.view(np.uint16)[: kept[part].size], level, out=kept[part])
            np.multiply(values[part], scale, out=result[part])
            np.multiply(result[part], kept[part], out=result[part])

    def help_out(flush: bool) -> None:
        torch.set_flush_denormal(flush)  # of this thread: parts must not depend on whose they are
        work()

    helpers = min(torch.get_num_threads(), -(-x.numel() // PART)) - 1
    helping = [_threads(helpers).submit(help_out, _flushes()) for _ in range(helpers)]
    work()
    for one in helping:
        one.result()
    return out


def _flushes() -> bool:
    """Whether this thread takes denormals for zero, which torch sets but doesn't tell."""
    return not np.multiply(np.float32(1e-39), np.ones(1, np.float32))[0]


@cache
def _threads(number: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(number, thread_name_prefix="dropout")
