"""Eval or train mode for as long as something looks, and everything as it was afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import nn


@contextmanager
def _in_mode(method: nn.Module, *, train: bool) -> Iterator[None]:
    """One mode for all modules and no gradient inside, the previous modes afterwards."""
    modes = [(module, module.training) for module in method.modules()]
    method.train(train)
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def evaluating(method: nn.Module) -> AbstractContextManager[None]:
    """Eval mode and no gradient inside, the previous mode afterwards."""
    return _in_mode(method, train=False)


@contextmanager
def in_train_mode(method: nn.Module) -> Iterator[None]:
    """Train mode and no gradient inside: dropout and batch statistics. Buffers, such as running means, are put back."""
    buffers = [(buffer, buffer.clone()) for buffer in method.buffers()]
    try:
        with _in_mode(method, train=True):
            yield
    finally:
        for buffer, before in buffers:
            buffer.copy_(before)
