"""The SGD probe against torch's own optimiser and schedule, a closed form, and scikit-learn's optimum."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import nn

from collapselab.config.evaluation import LinearProbe, SgdProbe
from collapselab.evaluation.linear_probe import probe
from collapselab.evaluation.sgd_probe import fit, predict, slopes
from collapselab.randomness import generator


def blobs(classes: int = 3, each: int = 40, d: int = 5) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), each)
    x = 6 * rng.standard_normal((classes, d))[labels] + rng.standard_normal((classes * each, d))
    return (x - x.mean(0)) / x.std(0), labels


def test_the_first_step_is_the_analytic_gradient() -> None:
    x, labels = blobs()
    targets = np.eye(3)[labels]
    weights, bias = fit(x, targets, 0.5, SgdProbe(epochs=1, batch_size=len(x)))
    # From zeros every softmax is 1/C: dL/dW = X'(1/C - Y) / n, dL/db = mean(1/C - Y), and the rate is .5 x 120 / 256.
    rate = 0.5 * len(x) / 256
    np.testing.assert_allclose(weights, -rate * x.T @ (1 / 3 - targets) / len(x), rtol=1e-12)
    np.testing.assert_allclose(bias, -rate * (1 / 3 - targets).mean(0), atol=1e-15)


def test_slopes_are_numerical_gradients_of_the_mean_cross_entropy() -> None:
    x, labels = blobs(each=7)
    rng = np.random.default_rng(1)
    weights, bias = rng.standard_normal((5, 3)), rng.standard_normal(3)

    def loss(w: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        logits = x @ w + b
        return float(-(logits[np.arange(21), labels] - np.log(np.exp(logits).sum(1))).mean())

    found, offset = slopes(x, np.eye(3)[labels], weights, bias)
    for place in np.ndindex(5, 3):
        step = np.zeros((5, 3))
        step[place] = 1e-6
        numerical = (loss(weights + step, bias) - loss(weights - step, bias)) / 2e-6
        assert found[place] == pytest.approx(numerical, abs=1e-8)
    for place in range(3):
        nudge = 1e-6 * np.eye(3)[place]
        assert offset[place] == pytest.approx(
            (loss(weights, bias + nudge) - loss(weights, bias - nudge)) / 2e-6, abs=1e-8
        )


@pytest.mark.parametrize(("batch", "weight_decay"), [(32, 0.0), (50, 0.01), (4096, 0.0)])
def test_it_is_torchs_sgd_with_half_a_cosine_by_epoch(batch: int, weight_decay: float) -> None:
    x, labels = blobs()
    config = SgdProbe(epochs=7, batch_size=batch, weight_decay=weight_decay)
    batch = min(batch, len(x))
    model = nn.Linear(5, 3).double()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    initial = 2.0 * batch / 256
    optimiser = torch.optim.SGD(model.parameters(), initial, momentum=0.9, weight_decay=weight_decay)
    inputs, targets = torch.from_numpy(x), torch.from_numpy(labels)
    for epoch in range(7):
        for group in optimiser.param_groups:
            group["lr"] = initial * 0.5 * (1 + math.cos(math.pi * epoch / 7))
        order = torch.from_numpy(generator(0, "linear_probe/order", epoch).permutation(len(x)))
        for rows in order.split(batch):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(inputs[rows]), targets[rows]).backward()
            optimiser.step()
    weights, bias = fit(x, np.eye(3)[labels], 2.0, config)
    np.testing.assert_allclose(weights, model.weight.detach().numpy().T, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(bias, model.bias.detach().numpy(), rtol=1e-9, atol=1e-12)


def test_on_separable_classes_it_names_all_and_again_the_same() -> None:
    x, labels = blobs()
    named = predict(x, labels * 10, x, 1.0, SgdProbe(epochs=20))
    np.testing.assert_array_equal(named, labels * 10)
    targets = np.eye(3)[labels]
    for first, second in zip(*(fit(x, targets, 1.0, SgdProbe(epochs=5, batch_size=16)) for _ in range(2)), strict=True):
        np.testing.assert_array_equal(first, second)


def test_on_real_features_it_comes_as_far_as_scikit_learns_optimum() -> None:
    digits = load_digits()
    x, y = digits.data, digits.target.astype(np.int64)
    given = (x[:1200], y[:1200], x[1200:], y[1200:])
    sgd = probe(*given, LinearProbe(solver="sgd"))
    optimum = probe(*given, LinearProbe())
    assert abs(sgd.accuracy - optimum.accuracy) < 0.02 < optimum.accuracy
    assert sgd.chosen in SgdProbe().base_learning_rate


def test_a_collapsed_representation_gives_an_answer() -> None:
    labels = np.repeat(np.arange(4), 25)
    assert probe(np.ones((100, 3)), labels, np.ones((100, 3)), labels, LinearProbe(solver="sgd")).accuracy <= 0.25
