"""What a snapshot keeps of one layer: vectors of images, and sums over token outputs in place of the tokens themselves."""

from __future__ import annotations

import torch
from torch import Tensor

from collapselab.methods.base import Softmax


def summarise(value: Tensor, softmax: Softmax | None, position: int | None) -> dict[str, Tensor]:
    """By the names under `token` in `training.snapshots`.

    Args:
        value: vectors [N, d], or tokens [N, T, d].
        softmax: how the loss makes probabilities of them, where it does.
        position: the place whose vectors are kept; None keeps neither them nor second moments of probabilities.
    """
    tokens = value if value.ndim == 3 else value[:, None]
    kept = {"image": tokens.mean(1)}
    if value.ndim == 3:
        kept |= _sums(value)
        if position is not None:
            kept["fixed"] = value[:, position]
    if softmax is not None:
        kept |= _probabilities(tokens, softmax, position)
    return kept


def _sums(tokens: Tensor) -> dict[str, Tensor]:
    """Of tokens [N, T, d]."""
    return {"position": tokens.cpu().double().mean(0), "moment": _moment(tokens)}


def _moment(tokens: Tensor) -> Tensor:
    flat = tokens.flatten(0, 1).cpu().double()  # MPS has no float64
    return flat.T @ flat / len(flat)


def _probabilities(tokens: Tensor, softmax: Softmax, position: int | None) -> dict[str, Tensor]:
    p = softmax.to_cpu()(tokens.cpu().double())
    entropy = -torch.special.xlogy(p, p).sum(-1)
    sums = {"probability": p.mean(1), "entropy": entropy.mean(1)}
    if tokens.shape[1] > 1:
        sums["probability-position"] = p.mean(0)
        if position is not None:
            sums["probability-fixed"] = p[:, position]
    kept = {name: value.float() for name, value in sums.items()}
    if tokens.shape[1] > 1 and position is not None:
        kept["probability-moment"] = _moment(p)
    return kept
