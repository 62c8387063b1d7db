"""Optimisers and learning-rate schedules as a study names them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from collapselab.config.training import Optimiser, Schedule
from collapselab.methods.base import Method, Progress


def learning_rate(peak: float, schedule: Schedule, progress: Progress) -> float:
    """The rate of the step that `progress.step` names, counted from 0: linear warm-up from 0, then half a cosine to 0."""
    warmup = schedule.warmup * progress.steps
    if progress.step < warmup:
        return peak * (progress.step + 1) / math.ceil(warmup)
    if schedule.decay == "constant":
        return peak
    place = (progress.step - warmup) / max(1.0, progress.steps - warmup)
    return peak * (1 + math.cos(math.pi * place)) / 2


def build_optimiser(method: Method, config: Optimiser) -> torch.optim.Optimizer:
    """The optimiser over the method's groups; unless `decay` says all, biases and normalisation weights decay nothing.

    Each group keeps its factor on the learning rate as `rate`.
    """
    groups = [part for group in method.parameter_groups() for part in _split(group, config)]
    if config.name == "adamw":
        return torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay, foreach=True)
    return torch.optim.SGD(
        groups, lr=config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay, foreach=True
    )


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate * group["rate"]


def _split(group: dict[str, Any], config: Optimiser) -> list[dict[str, Any]]:
    parameters: list[nn.Parameter] = group["params"]
    rate = group.get("rate", 1.0)
    parts = (
        {"params": [p for p in parameters if p.ndim > 1], "rate": rate, "weight_decay": config.weight_decay},
        {
            "params": [p for p in parameters if p.ndim <= 1],
            "rate": rate,
            "weight_decay": config.weight_decay if config.decay == "all" else 0.0,
        },
    )
    return [part for part in parts if part["params"]]
