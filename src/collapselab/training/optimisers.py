"""Optimisers as a study names them: torch's SGD and AdamW, and LARS."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from collapselab.config.training import Optimiser
from collapselab.methods.base import Method


def build_optimiser(method: Method, config: Optimiser) -> torch.optim.Optimizer:
    """The optimiser over the method's groups; unless `decay` says all, biases and normalisation weights decay nothing.

    Each group keeps its factor on the learning rate as `rate`.
    """
    groups = [part for group in method.parameter_groups() for part in _split(group, config)]
    rate, decay = config.learning_rate, config.weight_decay
    if config.name == "adamw":
        return torch.optim.AdamW(groups, lr=rate, weight_decay=decay, fused=True, capturable=_on_cuda(method))
    if config.name == "lars":
        return LARS(groups, lr=rate, momentum=config.momentum, weight_decay=decay, trust=config.trust, clip=config.clip)
    return torch.optim.SGD(groups, lr=rate, momentum=config.momentum, weight_decay=decay, fused=True)


def _on_cuda(method: Method) -> bool:
    return any(parameter.is_cuda for parameter in method.parameters())


def set_rate(optimiser: torch.optim.Optimizer, rate: float | Tensor) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate * group["rate"]


def _split(group: dict[str, Any], config: Optimiser) -> list[dict[str, Any]]:
    """Weights apart from biases and normalisation, which have one dimension, as every recipe here tells them apart."""
    parameters: list[nn.Parameter] = group["params"]
    shared = {"rate": group.get("rate", 1.0)}
    parts = (
        shared
        | {
            "params": [p for p in parameters if p.ndim > 1],
            "weight_decay": config.weight_decay,
            "adapted": True,
        },
        shared
        | {
            "params": [p for p in parameters if p.ndim <= 1],
            "weight_decay": config.weight_decay if config.decay == "all" else 0.0,
            "adapted": False,
        },
    )
    return [part for part in parts if part["params"]]


class LARS(torch.optim.Optimizer):
    """Large Batch Training of Convolutional Networks (You et al., arXiv 1708.03888), algorithm 1.

        rate = lr * trust * ||w|| / (||g|| + decay * ||w||)
        v <- momentum * v + rate * (g + decay * w);  w <- w - v

    The learning rate stands inside the momentum buffer, as in the paper; many public versions, torch's SGD among them,
    multiply the buffer by it, which is the same while it is constant. A tensor whose weights or gradient are all zero has no
    ratio: it moves at `lr`, where the paper would leave it at zero for good. Groups with `adapted` false (biases and
    normalisation weights) move as under SGD.

    Args:
        trust: the paper's eta.
        clip: rate = min(lr, trust * ||w|| / (...)), known as LARC: CIFAR recipes use it with trust .02.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 0.001,
        clip: bool = False,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust, "clip": clip}
        super().__init__(params, defaults | {"adapted": True})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step for every parameter that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                update = weight.grad.add(weight, alpha=group["weight_decay"])
                velocity = self.state[weight].setdefault("velocity", torch.zeros_like(weight))
                velocity.mul_(group["momentum"]).add_(update * self._rate(weight, group))
                weight.sub_(velocity)

    @staticmethod
    def _rate(weight: Tensor, group: dict[str, Any]) -> Tensor | float:
        if not group["adapted"]:
            lr: Tensor | float = group["lr"]
            return lr
        assert weight.grad is not None
        size, slope = weight.norm(), weight.grad.norm()
        ratio = group["trust"] * size / (slope + group["weight_decay"] * size)
        rate = ratio.clamp(max=group["lr"]) if group["clip"] else ratio * group["lr"]
        return torch.where((size > 0) & (slope > 0), rate, group["lr"])
