"""A chain of square layers without biases, z = W_L ... W_1 x, with ReLU between them or none, trained by gradient descent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from collapselab.toys.infonce import Float, Pairs, gradients, softmax


@dataclass(frozen=True)
class Network:
    """`weights` [d, d] each, the first applied first."""

    weights: list[Float]
    relu: bool = False

    @classmethod
    def initial(cls, depth: int, dim: int, rng: np.random.Generator, *, relu: bool = False) -> Network:
        """Gaussian with the variance of torch's linear layer, 1 / (3 d)."""
        return cls([rng.standard_normal((dim, dim)) / np.sqrt(3 * dim) for _ in range(depth)], relu)

    @property
    def product(self) -> Float:
        """W_L ... W_1, the whole of a linear network."""
        return chain(self.weights, len(self.weights[0]))

    def activations(self, x: Float) -> list[Float]:
        """x [N, d], then each layer's output; the last is z."""
        found = [x]
        for place, weight in enumerate(self.weights, 1):
            output = found[-1] @ weight.T
            found.append(np.maximum(output, 0.0) if self.relu and place < len(self.weights) else output)
        return found

    def embed(self, x: Float) -> Float:
        return self.activations(x)[-1]

    def backward(self, pairs: Pairs) -> tuple[list[Float], float]:
        """Gradient of InfoNCE by each weight, and the loss."""
        branches = [self.activations(pairs.clean), self.activations(pairs.augmented)]
        alpha, loss = softmax(branches[0][-1], branches[1][-1])
        found = [np.zeros_like(weight) for weight in self.weights]
        for flowing, inputs in zip(gradients(alpha, branches[0][-1], branches[1][-1]), branches, strict=True):
            for place in reversed(range(len(self.weights))):
                found[place] += flowing.T @ inputs[place]
                flowing = flowing @ self.weights[place]
                if self.relu and place:
                    flowing = flowing * (inputs[place] > 0)
        return found, loss


def chain(weights: Sequence[Float], dim: int) -> Float:
    """The product of matrices, the first applied first; the identity of none."""
    product = np.eye(dim)
    for weight in weights:
        product = weight @ product
    return product


def descend(
    network: Network, pairs: Pairs, rate: float, steps: int, watch: Callable[[int, Network, float], None]
) -> Network:
    """Full-batch gradient descent, which follows the gradient flow to first order in `rate`; time is rate times steps.

    `watch` is called with (step, network, loss) before each step and after the last.
    """
    for step in range(steps):
        found, loss = network.backward(pairs)
        watch(step, network, loss)
        weights = [weight - rate * gradient for weight, gradient in zip(network.weights, found, strict=True)]
        network = Network(weights, network.relu)
    watch(steps, network, network.backward(pairs)[1])
    return network
