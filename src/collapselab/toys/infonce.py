"""InfoNCE without normalisation, and the matrix X that drives a linear network under it (section 4.1).

Everything is a mean over images where the paper sums over them: a factor N on the loss, on its gradients and on X.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Pairs:
    """Samples x [N, d] and their augmented versions [N, d]; row i of both belongs to one image."""

    clean: Float
    augmented: Float

    @classmethod
    def draw(cls, count: int, data: Float, noise: Float, rng: np.random.Generator, *, both: bool = False) -> Pairs:
        """Gaussian s, x = s and x' = s + e, of exactly these covariances in the sample: thresholds are where theory puts them.

        Args:
            count: N, more than 3 d.
            data: [d] diagonal of sum_ij (s_i - s_j)(s_i - s_j)^T / N^2, twice the covariance of s.
            noise: [d] diagonal of sum_i (x'_i - x_i)(x'_i - x_i)^T / N.
            both: half of the noise in x and half in x', as where both views are augmented, instead of all in x'.
        """
        dim = len(data)
        raw = rng.standard_normal((count, 3 * dim))
        raw -= raw.mean(0)
        white = np.linalg.solve(np.linalg.cholesky(raw.T @ raw / count), raw.T).T
        source, own, other = np.split(white, 3, axis=1)
        source = source * np.sqrt(data / 2)
        if both:
            return cls(source + own * np.sqrt(noise / 2), source + other * np.sqrt(noise / 2))
        return cls(source, source + own * np.sqrt(noise))


def softmax(z: Float, augmented: Float) -> tuple[Float, float]:
    """alpha [N, N] (lemma 1), and the loss (equation 1).

    alpha_ij is the softmax over j of -|z_i - z_j|^2 / 2 with the positive pair -|z_i - z'_i|^2 / 2 in the place j = i; the
    loss is the mean over i of -log alpha_ii.
    """
    squares = (z * z).sum(1)
    half = (squares[:, None] + squares[None] - 2 * z @ z.T) / 2
    np.fill_diagonal(half, ((z - augmented) ** 2).sum(1) / 2)
    least = half.min(1, keepdims=True)
    weights = np.exp(least - half)
    total = weights.sum(1, keepdims=True)
    loss = float(np.mean(np.diag(half) - least[:, 0] + np.log(total[:, 0])))
    return weights / total, loss


def gradients(alpha: Float, z: Float, augmented: Float) -> tuple[Float, Float]:
    """Of the loss by z and by z', [N, d] each (lemma 1)."""
    pull = (1 - np.diag(alpha))[:, None] * (z - augmented)
    both = alpha + alpha.T
    np.fill_diagonal(both, 0.0)
    push = both.sum(1)[:, None] * z - both @ z
    return (pull - push) / len(z), -pull / len(z)


def contrast(alpha: Float, pairs: Pairs) -> tuple[Float, Float]:
    """The two halves of X (section 4.1): covariances of the data and of the augmentation, weighted by alpha, [d, d].

    The first is sum_ij alpha_ij (x_i - x_j)(x_i - x_j)^T / N, the second sum_i (1 - alpha_ii)(x'_i - x_i)(x'_i - x_i)^T / N.
    A linear network z = W x has the gradient -W X, with X the first less the second (lemma 2).
    """
    x, shift = pairs.clean, pairs.augmented - pairs.clean
    both = alpha + alpha.T
    np.fill_diagonal(both, 0.0)
    data = (x.T * both.sum(1)) @ x - x.T @ both @ x
    noise = (shift.T * (1 - np.diag(alpha))) @ shift
    return data / len(x), noise / len(x)
