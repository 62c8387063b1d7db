"""Targets that follow the trained network as a moving average of its weights, and how fast they do."""

from __future__ import annotations

import copy

import torch
from torch import nn

from collapselab.config.training import EMA
from collapselab.methods.base import Progress


def follower(*networks: nn.Module) -> nn.Sequential:
    """A copy of the networks in a row that no gradient reaches."""
    target = nn.Sequential(*(copy.deepcopy(network) for network in networks))
    target.requires_grad_(False)
    return target


def kept(ema: EMA, progress: Progress) -> float:
    """The share of the average that this step keeps: half a cosine from `start` to `end`, or what the half-life asks for."""
    if ema.half_life is not None:
        return float(0.5 ** (1 / (ema.half_life * progress.steps)))
    assert ema.start is not None and ema.end is not None  # the config holds one or the other
    return cosine_between(ema.start, ema.end, progress.fraction)


def cosine_between(start: float, end: float, fraction: float) -> float:
    """Half a cosine from start (fraction 0) to end (fraction 1): DINO's and BYOL's schedule for the EMA rate."""
    return end + (start - end) * (1 + float(torch.cos(torch.tensor(torch.pi * fraction, dtype=torch.float64)))) / 2


@torch.no_grad()
def move_towards(target: nn.Module, source: nn.Module, keep: float) -> None:
    """target = keep * target + (1 - keep) * source, for parameters; buffers are copied."""
    for old, new in zip(target.parameters(), source.parameters(), strict=True):
        old.data.lerp_(new, 1 - keep)
    for last, latest in zip(target.buffers(), source.buffers(), strict=True):
        last.copy_(latest)
