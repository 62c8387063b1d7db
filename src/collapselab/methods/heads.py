"""Projectors and predictors, and how outputs are compared: what more than one method uses."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn


def mlp(widths: list[int], *, norm: bool = True, last_norm: bool = False) -> nn.Sequential:
    """Linear layers of the given widths with batch norm and ReLU between them.

    Args:
        widths: input, hidden ..., output.
        norm: batch norm after each hidden layer.
        last_norm: batch norm after the last layer, without affine parameters (SimSiam's projector).
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths[:-1]):
        layers += [nn.Linear(inputs, outputs, bias=not norm)]
        layers += [nn.BatchNorm1d(outputs)] if norm else []
        layers += [nn.ReLU(inplace=True)]
    layers.append(nn.Linear(widths[-2], widths[-1], bias=not last_norm))
    if last_norm:
        layers.append(nn.BatchNorm1d(widths[-1], affine=False))
    return nn.Sequential(*layers)


def cosine(p: Tensor, z: Tensor) -> Tensor:
    """<p / |p|, z / |z|> of rows [N, d], averaged over the batch."""
    return F.cosine_similarity(p, z, dim=-1).mean()
