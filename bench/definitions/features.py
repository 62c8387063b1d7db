"""The features on which bench/definitions compares metrics, and other definitions of those metrics in a few lines each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
import scipy.linalg
import scipy.spatial
from numpy.typing import NDArray

from collapselab.collapse.evidence import Evidence

Array = NDArray[np.float64]
SEED = 20110915


@dataclass(frozen=True)
class Features:
    """One input of a comparison: what collapselab's Evidence takes, by the same names."""

    note: str
    z: Array
    views: Array | None = None
    labels: NDArray[np.int64] | None = None
    start: Array | None = None
    p: Array | None = None

    @property
    def evidence(self) -> Evidence:
        return Evidence(sample=self.z, views=self.views, labels=self.labels, start=self.start, probabilities=self.p)


def with_spectrum(eigenvalues: Array, count: int, generator: np.random.Generator) -> Array:
    """Features [count, d] of mean 0 whose covariance has exactly these eigenvalues, in random directions."""
    d = len(eigenvalues)
    left = np.linalg.qr(np.column_stack([np.ones(count), generator.standard_normal((count, d))]))[0][:, 1:]
    right = np.linalg.qr(generator.standard_normal((d, d)))[0]
    return np.asarray((left * np.sqrt(count * eigenvalues)) @ right.T)


@cache
def features() -> dict[str, Features]:
    """All features, by the names that comparisons use."""
    g = np.random.default_rng(SEED)
    d = 128
    power = np.arange(1, d + 1, dtype=np.float64) ** -1.5
    law = with_spectrum(power, 512, g)
    sampled = g.standard_normal((512, d)) * np.sqrt(power)
    few = g.standard_normal((48, d)) * np.sqrt(power)
    rank_1 = np.zeros((2048, 2048))
    rank_1[:, 0] = g.choice([-1.0, 1.0], 2048)

    kinds = np.arange(200) % 10
    signal = np.zeros((200, 1, 32))
    signal[:, 0, :3] = 2 * g.standard_normal((10, 3))[kinds]
    signal[..., 3:8] = 2 * g.standard_normal((200, 1, 5))
    views = signal + 0.3 * g.standard_normal((200, 4, 32))
    faint = 0.02 * views

    classes = g.standard_normal((10, 32))
    even, uneven = np.repeat(np.arange(10), 50), np.repeat(np.arange(10), np.arange(5, 105, 10))
    spread = 0.5 * g.standard_normal((500, 32))

    sheet = g.standard_normal((600, 5)) @ g.standard_normal((5, 12))
    wide = sheet @ g.standard_normal((12, 32))
    logits = 3 * g.standard_normal((300, 64))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)

    return {
        "isotropic": Features("512 x 128, all eigenvalues of the covariance 1", with_spectrum(np.ones(d), 512, g)),
        "rank 8": Features(
            "512 x 128, eight eigenvalues 1, the others 0", with_spectrum(np.repeat([1.0, 0], [8, 120]), 512, g)
        ),
        "power law": Features("512 x 128, eigenvalue i is i^-1.5, mean 0", law),
        "power law + 3": Features("the same with 3 added to every number", law + 3),
        "sampled": Features("512 x 128, Gaussian, the same power law for a covariance", sampled),
        "N < d": Features("48 x 128, Gaussian, the same power law", few),
        "zeros": Features("64 x 128 zeros", np.zeros((64, 128))),
        "one-hot 2048": Features("the 2048 x 2048 identity: isotropic, not centred", np.eye(2048)),
        "rank 1, 2048": Features("2048 x 2048, one column of +-1, the others 0", rank_1),
        "views": Features(
            "200 images x 4 views x 32: a signal in eight directions, three of which tell 10 classes apart, and view noise in all",
            views[:, 0],
            views=views,
            labels=kinds,
        ),
        "view noise": Features(
            "200 images x 4 views x 32, pure noise",
            spread[:200],
            views=g.standard_normal((200, 4, 32)),
        ),
        "faint views": Features("the views above, fifty times smaller", faint[:, 0], views=faint),
        "one coordinate": Features("the first coordinate of the views above", views[:, 0, :1], views=views[..., :1]),
        "two views": Features("the first two views of each image", views[:, 0], views=views[:, :2]),
        "even classes": Features("10 classes x 50, 32 dimensions", classes[even] + spread, labels=even),
        "uneven classes": Features("10 classes of 5 to 95", classes[uneven] + spread, labels=uneven),
        "sheet": Features("600 x 12, Gaussian in a 5-dimensional subspace", sheet),
        "sheet, duplicates": Features("the same with the first 100 rows twice", np.concatenate([sheet, sheet[:100]])),
        "wide, duplicates": Features("the same, mapped to 32 dimensions", np.concatenate([wide, wide[:100]])),
        "start": Features(
            "the sampled features, and a mixture of them and noise as the start",
            sampled,
            start=sampled @ g.standard_normal((d, 64)) + 2 * g.standard_normal((512, 64)),
        ),
        "unrelated": Features(
            "48 x 128, and 48 x 64 of other noise as the start", few, start=g.standard_normal((48, 64))
        ),
        "softmax": Features("300 x 64 softmax rows", logits, p=p),
    }


# Definitions, restated from documentation and papers.


def centred(z: Array) -> Array:
    return z - z.mean(0)


def unit(z: Array) -> Array:
    length = np.linalg.norm(z, axis=-1, keepdims=True)
    return np.asarray(z / np.where(length > 0, length, 1))


def singular(z: Array) -> Array:
    """Descending, of z as it is."""
    return np.asarray(scipy.linalg.svdvals(z))


def spectrum(z: Array) -> Array:
    """Eigenvalues of the covariance, descending, min(N, d) of them."""
    return singular(centred(z)) ** 2 / len(z)


def exp_entropy(weights: Array, epsilon: float = 0.0) -> float:
    """exp H of weights divided by their sum; `epsilon` is added after that, as RankMe has it. NaN where all are 0."""
    if not weights.any():
        return np.nan
    q = weights / weights.sum() + epsilon
    return float(np.exp(-(q[q > 0] * np.log(q[q > 0])).sum()))


def participation(weights: Array) -> float:
    return float(weights.sum() ** 2 / (weights**2).sum())


def slope(values: Array, first: int, last: int, weighted: bool) -> float:
    """alpha of values_i ~ i^-alpha, i = first .. last, by least squares in log-log, weights 1 / i or none."""
    rank = np.arange(first, last + 1, dtype=np.float64)
    return float(-np.polyfit(np.log(rank), np.log(values[first - 1 : last]), 1, w=rank**-0.5 if weighted else None)[0])


def grouped(rows: Array, size: int) -> Array:
    """Consecutive rows taken for the views of one image, whatever they are."""
    return rows[: len(rows) // size * size].reshape(-1, size, rows.shape[1])


def batch_order(views: Array) -> Array:
    """Rows as a multi-view batch holds them: all first views, then all second views, and so on."""
    return np.asarray(views.transpose(1, 0, 2).reshape(-1, views.shape[2]))


def scatters(groups: Iterable[Array]) -> tuple[Array, Array, int, int]:
    """Sums over groups of (m - mean)(m - mean)^T and over vectors of (x - m)(x - m)^T; numbers of groups and of vectors."""
    parts = list(groups)
    means = centred(np.stack([part.mean(0) for part in parts]))
    inner = np.concatenate([centred(part) for part in parts])
    return means.T @ means, inner.T @ inner, len(parts), len(inner)


def whitened(between: Array, within: Array) -> Array:
    """within^-1/2 between within^-1/2."""
    values, vectors = np.linalg.eigh(within)
    half = (vectors / np.sqrt(values)) @ vectors.T
    return np.asarray(half @ between @ half)


def lidar_unbiased(groups: Iterable[Array], epsilon: float = 1e-8) -> float:
    """LiDAR with unbiased scatters, delta 1e-4, and `epsilon` added to the eigenvalues before normalising."""
    between, within, count, total = scatters(groups)
    matrix = whitened(between / (count - 1), within / (total - count) + 1e-4 * np.eye(len(within)))
    return exp_entropy(np.linalg.eigvalsh(matrix).clip(min=0) + epsilon)


def lidar_twice(views: Array) -> float:
    """LiDAR whose matrix is then taken for features: the entropy of the eigenvalues of the covariance of its rows."""
    between, within, count, _ = scatters(views)
    return exp_entropy(spectrum(whitened(between, within / count + 1e-6 * np.eye(len(within)))), 1e-7)


def by_label(of: Features) -> list[Array]:
    assert of.labels is not None
    return [of.z[of.labels == label] for label in np.unique(of.labels)]


def viewed(of: Features) -> Array:
    assert of.views is not None
    return of.views


def two_views(of: Features) -> tuple[Array, Array]:
    views = viewed(of)
    return unit(views[:, 0]), unit(views[:, 1])


def nearest(z: Array, k: int) -> Array:
    """Distances to the k nearest others, ascending, duplicates not removed."""
    return np.asarray(np.sort(scipy.spatial.distance.cdist(z, z), axis=1)[:, 1 : k + 1])


def local_dimensions(z: Array, k: int = 20) -> Array:
    """Levina and Bickel's estimate at each row."""
    r = nearest(z, k)
    return np.asarray((k - 1) / np.log(r[:, -1:] / r).sum(1))


def two_nn_line(z: Array) -> float:
    """Facco's: the line through the origin and (log mu, -log(1 - F)), the tenth of the largest ratios mu left out."""
    r = nearest(z, 2)
    r = r[r[:, 0] > 0]
    kept = int(len(r) * 0.9)
    x = np.sort(np.log(r[:, 1] / r[:, 0]))[:kept]
    return float(-(x @ np.log(1 - np.arange(1, kept + 1) / len(r))) / (x @ x))


def two_nn_unbiased(z: Array) -> float:
    r = nearest(z, 2)
    r = r[r[:, 0] > 0]
    return float((len(r) - 1) / np.log(r[:, 1] / r[:, 0]).sum())


def uniformity(u: Array, t: float) -> float:
    return float(np.log(np.exp(-t * scipy.spatial.distance.pdist(u, "sqeuclidean")).mean()))


def squared_cosines(z: Array) -> float:
    """SelfCluster: the sum of all squared cosines, less what random directions have, in units of what is left to 1."""
    n, d = z.shape
    random = n + n * (n - 1) / d
    return float((((unit(z) @ unit(z).T) ** 2).sum() - random) / (n**2 - random))


def nc1(of: Features, about: Array) -> float:
    """tr(S_W pinv(S_B)) / C, S_B the mean over classes of (m - about)(m - about)^T."""
    parts = by_label(of)
    means = np.stack([part.mean(0) for part in parts]) - about
    inner = np.concatenate([centred(part) for part in parts])
    between = np.linalg.pinv(means.T @ means / len(parts), rcond=1e-10, hermitian=True)
    return float(np.trace(inner.T @ inner / len(inner) @ between) / len(parts))


def cdnv(of: Features) -> float:
    found = [
        (one.var(0).sum() + other.var(0).sum()) / (2 * ((one.mean(0) - other.mean(0)) ** 2).sum())
        for i, one in enumerate(by_label(of))
        for other in by_label(of)[:i]
    ]
    return float(np.mean(found))


def hsic_unbiased(k: Array, m: Array) -> float:
    """Song et al. 2012: the U-statistic, diagonals left out."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    cross = k @ m
    pairs = np.trace(cross) + k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 * cross.sum() / (n - 2)
    return float(pairs / (n * (n - 3)))


def cka_unbiased(of: Features) -> float:
    assert of.start is not None
    k, m = of.z @ of.z.T, of.start @ of.start.T
    return hsic_unbiased(k, m) / (hsic_unbiased(k, k) * hsic_unbiased(m, m)) ** 0.5


def cka_gram(of: Features) -> float:
    """Linear CKA from Gram matrices over images; ours is of d x d matrices."""
    assert of.start is not None
    k, m = centred(of.z) @ centred(of.z).T, centred(of.start) @ centred(of.start).T
    return float((k * m).sum() / (np.linalg.norm(k) * np.linalg.norm(m)))


def softmax_rows(of: Features) -> Array:
    assert of.p is not None
    return of.p
