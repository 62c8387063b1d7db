"""Features of known collapse, built so that the values of the metrics follow from arithmetic alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ortho_group

Array = NDArray[np.float64]


def with_spectrum(eigenvalues: Array, n: int = 400) -> Array:
    """[n, d] features whose centred covariance (divided by n) has exactly these eigenvalues, in a rotated basis; mean 0."""
    d = len(eigenvalues)
    rng = np.random.default_rng(0)
    centred = rng.standard_normal((n, d))
    left = np.linalg.qr(centred - centred.mean(0))[0]  # columns of a centred matrix span centred columns
    turn = ortho_group.rvs(d, random_state=1) if d > 1 else np.ones((1, 1))
    return np.asarray(np.sqrt(n) * (left * np.sqrt(eigenvalues)) @ turn.T)


def equal_directions(rank: int, d: int) -> Array:
    """Variance 1 along `rank` directions, none along the others."""
    return with_spectrum(np.r_[np.ones(rank), np.zeros(d - rank)])


def power_law(alpha: float, d: int = 60) -> Array:
    return with_spectrum(np.arange(1, d + 1, dtype=np.float64) ** -alpha)


def constant(value: float, n: int = 50, d: int = 8) -> Array:
    return np.full((n, d), value)


def cross(d: int) -> Array:
    """The 2d points +-e_i: isotropic, mean 0, length 1."""
    return np.concatenate([np.eye(d), -np.eye(d)])


def corners(k: int, copies: int) -> tuple[Array, NDArray[Any]]:
    """(features, labels): `copies` images at each of the k unit vectors."""
    labels = np.repeat(np.arange(k), copies)
    return np.eye(k)[labels], labels


def two_classes(apart: float, width: float) -> tuple[Array, NDArray[Any]]:
    """(features, labels): classes at +-apart on the first axis, each of two points that lie +-width from its mean."""
    labels = np.repeat([0, 1], 20)
    inside = np.tile([1.0, -1.0], 20) * width
    return np.stack([(2 * labels - 1) * apart + inside, np.zeros(40)], axis=1), labels


def triplets(groups: int) -> Array:
    """Points 0, 1 and 3 on a line, the groups far apart: neighbours at 1 and 3, at 1 and 2, at 2 and 3."""
    return (1000.0 * np.arange(groups)[:, None] + np.array([0.0, 1.0, 3.0])).reshape(-1, 1)


def flat_patch(dimension: int, d: int, n: int = 1500) -> Array:
    """A Gaussian cloud in `dimension` directions out of d: its local dimension is its global one."""
    rng = np.random.default_rng(2)
    turn = ortho_group.rvs(d, random_state=3)
    return np.asarray(rng.standard_normal((n, dimension)) @ turn[:dimension] + 5)


def thread(d: int, n: int = 1500) -> Array:
    """A closed curve that winds through all d (even) directions: locally a line, globally full rank."""
    angle = np.sort(np.random.default_rng(4).uniform(0, 2 * np.pi, n))
    waves = [f(k * angle) for k in range(1, d // 2 + 1) for f in (np.cos, np.sin)]
    return np.stack(waves, axis=1)


def crossed_views(signal: float, noise: float, d: int) -> Array:
    """[2d, 2d, d]: images at +-signal e_i, each seen at +-noise e_j around it; S_b and S_w are multiples of I."""
    return signal * cross(d)[:, None] + noise * cross(d)[None]


def noisy_views(signal: Array, images: int, views: int, seed: int = 0) -> Array:
    """Gaussian images with these standard deviations per direction, views with unit noise around them."""
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((images, 1, len(signal))) * signal
    return np.asarray(means + rng.standard_normal((images, views, len(signal))))


def turned_views(angle: float, images: int) -> Array:
    """[images, 2, 2]: two views of length 1 and 3 (lengths don't count) at a fixed angle to each other."""
    start = np.linspace(0, 2 * np.pi, images, endpoint=False)
    one, other = (np.stack([np.cos(a), np.sin(a)], axis=1) for a in (start, start + angle))
    return np.stack([one, 3 * other], axis=1)


def additive_tokens(image: float, position: float, interaction: float) -> Array:
    """[4, 2, 1]: x = image a_n + position b_t + interaction a_n b_t, a and b of +-1: three orthogonal patterns."""
    a, b = np.array([1.0, 1, -1, -1]), np.array([1.0, -1])
    return (7 + image * a[:, None] + position * b + interaction * a[:, None] * b)[..., None]


def one_hot(winners: NDArray[Any], k: int) -> Array:
    return np.eye(k)[winners]


def uniform(n: int, k: int) -> Array:
    return np.full((n, k), 1 / k)


def fan(*degrees: float) -> Array:
    """Prototypes in the plane at these angles, of different lengths."""
    angles = np.deg2rad(degrees)
    lengths = np.arange(1, len(degrees) + 1)
    return np.stack([np.cos(angles) * lengths, np.sin(angles) * lengths], axis=1)
