"""Building blocks of families: mixing, spectra, classes, views."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

Array = NDArray[Any]
Generator = np.random.Generator


def mixed(g: Generator, x: Array) -> Array:
    """`x` [.., d] turned by a dense random rotation: signs, cosine transform, and both again."""
    for _ in range(2):
        x = dct(x * g.choice([-1.0, 1.0], x.shape[-1]), norm="ortho", axis=-1)
    return np.asarray(x)


def spectrum(g: Generator, n: int, eigenvalues: Array) -> Array:
    """Gaussian features [n, d] with this covariance spectrum, average variance 1 a channel, in general position."""
    scale = np.sqrt(eigenvalues / eigenvalues.mean())
    return mixed(g, g.normal(size=(n, len(scale))) * scale)


def power(g: Generator, n: int, d: int, alpha: float) -> Array:
    """The same with eigenvalues i^-alpha."""
    return spectrum(g, n, np.arange(1, d + 1.0) ** -alpha)


def low_rank(g: Generator, n: int, d: int, rank: int, alpha: float = 0.0) -> Array:
    """Rank `rank` exactly (in float64), average variance 1 a channel."""
    eigenvalues = np.zeros(d)
    eigenvalues[:rank] = np.arange(1, rank + 1.0) ** -alpha
    return spectrum(g, n, eigenvalues)


def classes(g: Generator, n: int, d: int, k: int, within: float, weights: Array | None = None) -> tuple[Array, Array]:
    """(features, labels): k centres of variance 1 a channel, and Gaussian clouds of standard deviation `within` around them.

    Each class has at least three images.
    """
    rest = g.choice(k, max(0, n - 3 * k), p=weights)
    labels = g.permutation(np.concatenate([np.repeat(np.arange(k), 3), rest])[:n])
    return g.normal(size=(k, d))[labels] + within * g.normal(size=(n, d)), labels


def student(g: Generator, n: int, d: int, freedom: float) -> Array:
    """Multivariate t: each row a Gaussian over the root of one chi-squared draw."""
    return np.asarray(g.normal(size=(n, d)) / np.sqrt(g.chisquare(freedom, n) / freedom)[:, None])


def viewed(g: Generator, signal: Array, ratio: float, q: int, noise: Array | None = None) -> Array:
    """Views [m, q, d] of `signal` [m, d]: noise with between-image over within-view variance `ratio`.

    `noise` [m, q, d], of any scale, in place of Gaussian noise.
    """
    if noise is None:
        noise = g.normal(size=(len(signal), q, signal.shape[1]))
    between, within = signal.var(0).sum(), noise.var(1, ddof=1).mean(0).sum()
    return np.asarray(signal[:, None] + noise * np.sqrt(between / within / ratio))


def offset(g: Generator, x: Array, size: float) -> Array:
    """`x` shifted along a random direction by `size` of its root mean square standard deviations, a channel."""
    direction = g.normal(size=x.shape[-1])
    direction *= np.sqrt(x.shape[-1]) / np.linalg.norm(direction)
    return np.asarray(x + size * np.sqrt(x.var(0).mean()) * direction)


def single(x: Array) -> Array:
    return np.asarray(x, dtype=np.float32)


def brain(x: Array) -> Array:
    """Rounded to bfloat16, held in float32."""
    bits = np.asarray(x, dtype=np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return rounded.view(np.float32)


def softmax(logits: Array) -> Array:
    z = np.exp(logits - logits.max(-1, keepdims=True))
    return single(z / z.sum(-1, keepdims=True))
