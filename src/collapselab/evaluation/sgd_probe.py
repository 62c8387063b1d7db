"""The papers' linear classifier on frozen features: SGD with momentum on the mean cross-entropy (see `config.SgdProbe`).

What differs from the papers: features are those of clean images, taken once, where they draw a new crop of each image in every
epoch; and they are standardised, as MAE (arXiv 2111.06377, appendix A.1) does by a batch norm without parameters.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapselab.config.evaluation import SgdProbe
from collapselab.randomness import generator

Floats = NDArray[np.float64]


def predict(
    train: Floats, labels: NDArray[np.int64], test: Floats, base_rate: float, config: SgdProbe
) -> NDArray[np.int64]:
    """The class of each of `test` [M, d], after training on `train` [N, d], both standardised, with `labels` [N]."""
    classes, targets = np.unique(labels, return_inverse=True)
    weights, bias = fit(train, np.eye(len(classes))[targets], base_rate, config)
    return np.asarray(classes[(test @ weights + bias).argmax(1)])


def fit(x: Floats, targets: Floats, base_rate: float, config: SgdProbe) -> tuple[Floats, Floats]:
    """Weights [d, C] and bias [C] from zeros, for `targets` [N, C] of one-hot rows; the order of images is drawn by epoch."""
    batch = min(config.batch_size, len(x))
    parameters = [np.zeros((x.shape[1], targets.shape[1])), np.zeros(targets.shape[1])]
    velocities = [np.zeros_like(parameter) for parameter in parameters]
    for epoch in range(config.epochs):
        rate = base_rate * batch / 256 * (1 + math.cos(math.pi * epoch / config.epochs)) / 2
        order = generator(0, "linear_probe/order", epoch).permutation(len(x))
        for start in range(0, len(x), batch):
            rows = order[start : start + batch]
            gradients = slopes(x[rows], targets[rows], *parameters)
            for parameter, velocity, gradient in zip(parameters, velocities, gradients, strict=True):
                velocity *= config.momentum
                velocity += gradient + config.weight_decay * parameter
                parameter -= rate * velocity
    return parameters[0], parameters[1]


def slopes(x: Floats, targets: Floats, weights: Floats, bias: Floats) -> tuple[Floats, Floats]:
    """Gradient of the mean cross-entropy: X'(softmax(XW + b) - Y) / n, and the mean of the same over images."""
    logits: NDArray[Any] = x @ weights + bias
    p = np.exp(logits - logits.max(1, keepdims=True))
    error = (p / p.sum(1, keepdims=True) - targets) / len(x)
    return x.T @ error, error.sum(0)
