"""Every metric a second time: from its formula, with loops and singular values, on all vectors at once.

Nothing here is taken from the package: no moments, no shared helpers. Functions are called as their metrics are and take the
raw arrays that they need by name. They say nothing of undefined cases; those have tests of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial import KDTree
from scipy.stats import entropy
from sklearn.metrics import adjusted_rand_score

Array = NDArray[np.floating]

STEEPEST = 3.0


def numbers(sample: Array) -> Array:
    return np.asarray(sample, dtype=np.float64)


def spread(sample: Array) -> Array:
    """Singular values of centred features, the attainable ones."""
    z = numbers(sample)
    return np.linalg.svd(z - z.mean(0), compute_uv=False)[: min(len(z) - 1, z.shape[1])]


def unit(z: Array) -> Array:
    return np.array([row / np.linalg.norm(row) if row.any() else row for row in numbers(z)])


def entropy_rank(weights: Array) -> float:
    return float(np.exp(entropy(weights)))


# Spectra


def effective_rank(sample: Array) -> float:
    return entropy_rank(spread(sample))


def spectral_entropy_rank(sample: Array) -> float:
    return entropy_rank(spread(sample) ** 2)


def rankme(sample: Array) -> float:
    s = np.linalg.svd(numbers(sample), compute_uv=False)
    q = s / s.sum() + 1e-7
    return float(np.exp(-sum(x * np.log(x) for x in q)))


def stable_rank(sample: Array) -> float:
    z = numbers(sample)
    return float(np.linalg.norm(z) ** 2 / np.linalg.norm(z, 2) ** 2)


def nesum(sample: Array) -> float:
    z = numbers(sample)
    return stable_rank(z - z.mean(0))


def participation_ratio(sample: Array) -> float:
    covariance = np.atleast_2d(np.cov(numbers(sample), rowvar=False))
    return float(np.trace(covariance) ** 2 / np.trace(covariance @ covariance))


def numerical_rank(sample: Array) -> float:
    z = numbers(sample)
    tolerance = max(1e-7, max(z.shape) * np.finfo(sample.dtype).eps)
    return float(np.linalg.matrix_rank(z - z.mean(0), rtol=tolerance))


def rank_above_hundredth(sample: Array) -> float:
    z = numbers(sample)
    return float(np.linalg.matrix_rank(z - z.mean(0), rtol=0.01))


def cev_auc(sample: Array) -> float:
    s = spread(unit(sample))
    return float(np.mean([s[: j + 1].sum() / s.sum() for j in range(len(s))]))


def fitted(sample: Array) -> tuple[Array, Array, Array]:
    """(weights, log eigenvalues, fitted line) over all eigenvalues."""
    y = np.log(spread(sample) ** 2 / len(sample))
    x = np.log(np.arange(1, len(y) + 1))
    weights = 1 / np.arange(1, len(y) + 1)
    return weights, y, np.polyval(np.polyfit(x, y, 1, w=np.sqrt(weights)), x)


def alpha_req(sample: Array) -> float:
    _, _, line = fitted(sample)
    return float((line[0] - line[-1]) / np.log(len(line)))


def alpha_req_fit(sample: Array) -> float:
    weights, y, line = fitted(sample)
    mean = np.average(y, weights=weights)
    return float(1 - (weights * (y - line) ** 2).sum() / (weights * (y - mean) ** 2).sum())


def drop_of(eigenvalues: Array, images: int) -> tuple[int, float, float]:
    """(alive, tail, drop), by trying every place and every width."""
    count = len(eigenvalues)
    window = 0.25 if images >= 4 * count and count >= 32 else 0.05
    best, place = 0.0, count
    width = 1
    while width <= max(1, round(window * count)):
        for i in range(1, min(count - width, round(0.9 * count)) + 1):
            fall = np.log(eigenvalues[i - 1] / eigenvalues[i + width - 1]) - STEEPEST * np.log((i + width) / i)
            if fall > best:
                steps = [eigenvalues[j - 1] / eigenvalues[j] for j in range(i, i + width)]
                best, place = fall, i + int(np.argmax(steps))
        width *= 2
    place = place if best >= np.log(5) else count
    return place, float(eigenvalues[place:].sum() / eigenvalues.sum()), float(best)


def live_directions(sample: Array) -> float:
    return float(drop_of(spread(sample) ** 2, len(sample))[0])


def tail_share(sample: Array) -> float:
    return drop_of(spread(sample) ** 2, len(sample))[1]


def spectral_drop(sample: Array) -> float:
    return drop_of(spread(sample) ** 2, len(sample))[2]


def resolved_directions(sample: Array) -> float:
    z = numbers(sample)
    values = spread(z) ** 2 / len(z)
    floor = max(4 * np.finfo(sample.dtype).eps ** 2 * (z**2).mean(), 1e-14 * values[0])
    return float(sum(value > floor for value in values))


def rank_to_power_law(sample: Array) -> float:
    count = min(len(sample) - 1, sample.shape[1])
    return effective_rank(sample) / entropy_rank(np.array([i ** (-STEEPEST / 2) for i in range(1, count + 1)]))


def directional_rank_to_power_law(sample: Array) -> float:
    return rank_to_power_law(from_median(sample))


def from_median(sample: Array) -> Array:
    z = numbers(sample)
    return unit(z - np.median(z, axis=0))


def directional_drop(sample: Array) -> float:
    return spectral_drop(from_median(sample))


def directional_tail(sample: Array) -> float:
    return tail_share(from_median(sample))


def rank_ceiling(sample: Array) -> float:
    return float(min(len(sample) - 1, sample.shape[1]))


# Size and spread


def log_trace(sample: Array) -> float:
    return float(np.log(numbers(sample).var(0).sum()))


def mean_squared_norm(sample: Array) -> float:
    return float(np.mean([row @ row for row in numbers(sample)]))


def mean_share(sample: Array) -> float:
    mean = numbers(sample).mean(0)
    return float(mean @ mean / mean_squared_norm(sample))


def resolution(sample: Array) -> float:
    z = numbers(sample)
    ulp = np.spacing(np.abs(z).mean().astype(sample.dtype))
    return float(np.sqrt(z.var(0).mean()) / float(ulp))


def dead_dimensions(sample: Array) -> float:
    z = numbers(sample)
    eps = np.finfo(sample.dtype).eps
    return float(sum(column.std() <= 4 * eps * np.sqrt((column**2).mean()) for column in z.T))


def redundancy(sample: Array) -> float:
    z = numbers(sample)
    live = [column for column in z.T if column.std() > 0]
    return float(np.mean([np.corrcoef(a, b)[0, 1] ** 2 for a, b in combinations(live, 2)]))


def normalised_std(sample: Array) -> float:
    return float(unit(sample).std(0).mean())


def inverse_sqrt_dim(sample: Array) -> float:
    return float(1 / np.sqrt(sample.shape[1]))


def median_distance(sample: Array) -> float:
    z = numbers(sample)
    return float(np.median([np.linalg.norm(row - np.median(z, axis=0)) for row in z]))


def direction_spread(sample: Array) -> float:
    directions = unit(sample)
    middle = np.median(directions, axis=0)
    return float(np.median([1 - row @ middle / np.linalg.norm(middle) for row in directions]))


def tight_share(sample: Array) -> float:
    z = numbers(sample)
    far = np.sort(np.linalg.norm(z - np.median(z, axis=0), axis=1))
    distance = np.linalg.norm(z - np.median(z, axis=0), axis=1)
    best, share = 0.0, 0.0
    for i in range(len(far) - 1):
        gap, beyond = np.log(far[i + 1] / far[i]), len(far) - i - 1
        if 0.015 * len(far) < beyond <= len(far) / 2 and gap >= np.log(10) and gap * beyond >= 11 and gap > best:
            best, share, outside = gap, 1 - beyond / len(far), distance > far[i]
    if best == 0:
        return 0.0
    own = np.sqrt(np.mean([((row - z[outside].mean(0)) ** 2).sum() for row in z[outside]]))
    return share if own >= 0.1 * np.median(distance[outside]) else 0.0


def farthest_to_median(sample: Array) -> float:
    z = numbers(sample)
    far = np.linalg.norm(z - np.median(z, axis=0), axis=1)
    return float(max(far) / np.median(far))


# Pairs of images


def uniformity(sample: Array) -> float:
    directions = unit(sample)
    kernel = [np.exp(-2 * ((u - v) ** 2).sum()) for u, v in combinations(directions, 2)]
    return float(np.log(np.mean(kernel)))


def excess(z: Array) -> float:
    n, d = z.shape
    q = sum((u @ v / (np.linalg.norm(u) * np.linalg.norm(v))) ** 2 for u in z for v in z)
    return float((q - n - n * (n - 1) / d) / (n**2 - n - n * (n - 1) / d))


def self_cluster(sample: Array) -> float:
    z = numbers(sample)
    return excess(z - z.mean(0))


def self_cluster_uncentred(sample: Array) -> float:
    return excess(numbers(sample))


def neighbour_distances(sample: Array, k: int) -> Array:
    z = np.unique(numbers(sample), axis=0)
    return KDTree(z).query(z, k + 1)[0][:, 1:]


def two_nn(sample: Array) -> float:
    found = neighbour_distances(sample, 2)
    return float(len(found) / sum(np.log(second / first) for first, second in found))


def local_dimensions(sample: Array) -> list[float]:
    return [1 / np.mean([np.log(row[-1] / near) for near in row[:-1]]) for row in neighbour_distances(sample, 20)]


def lid_mle(sample: Array) -> float:
    found = local_dimensions(sample)
    return float(len(found) / sum(1 / m for m in found))


def lid_near(sample: Array) -> float:
    return float(1 / np.mean([np.log(row[-1] / near) for row in neighbour_distances(sample, 5) for near in row[:-1]]))


def ldreg(sample: Array) -> float:
    found = local_dimensions(sample)
    return float(np.prod([m ** (1 / len(found)) for m in found]))


def clustered(sample: Array) -> tuple[Array, Array, float]:
    """(rows that belong to a cluster, their clusters, jump in the cost of merges), from the points themselves."""
    z = numbers(sample)
    middle = np.array([np.median(np.linalg.norm(z - row, axis=1)) for row in z])
    kept = np.flatnonzero(middle <= np.quantile(middle, 0.98))
    tree = linkage(z[kept], "ward")
    costs = (tree[:, 2] ** 2 / 2)[::-1]
    jumps = [costs[i] / max(costs[i + 1], 1e-12 * costs.sum()) for i in range(min(100, len(kept) // 5) - 1)]
    number = int(np.argmax(jumps)) + 2
    names = fcluster(tree, number, "maxclust")
    sizes = {name: (names == name).sum() for name in names}
    held = np.array([sizes[name] >= max(3, 0.1 * len(kept) / number) for name in names])
    return kept[held], names[held], float(jumps[number - 2])


def clusters(sample: Array) -> float:
    return float(len(set(clustered(sample)[1])))


def cluster_jump(sample: Array) -> float:
    return clustered(sample)[2] if clusters(sample) > 1 else 1.0


def cluster_within(sample: Array) -> float:
    rows, names, _ = clustered(sample)
    z = numbers(sample)[rows]
    if len(set(names)) < 2:
        return 1.0
    inside = sorted(((row - z[names == name].mean(0)) ** 2).sum() for row, name in zip(z, names, strict=True))
    return float(np.mean(inside[: round(0.9 * len(inside))]) / ((z - z.mean(0)) ** 2).sum(1).mean())


def cluster_purity(sample: Array, labels: Array) -> float:
    rows, names, _ = clustered(sample)
    return float(adjusted_rand_score(labels[rows], names))


# Views


def alignment(views: Array) -> float:
    pairs = [((u - v) ** 2).sum() for image in views for u, v in combinations(unit(image), 2)]
    return float(np.mean(pairs))


def scatters(views: Array) -> tuple[Array, Array]:
    """Plain averages (S_b, S_w)."""
    z = numbers(views)
    means = z.mean(1)
    between = sum(np.outer(m - means.mean(0), m - means.mean(0)) for m in means) / len(z)
    within = sum(np.outer(x - m, x - m) for image, m in zip(z, means, strict=True) for x in image)
    return between, within / (z.shape[0] * z.shape[1])


def lidar_matrix(views: Array) -> Array:
    between, within = scatters(views)
    values, vectors = np.linalg.eigh(within + 1e-4 * np.eye(len(within)))
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    return root @ between @ root


def lidar(views: Array) -> float:
    values = np.linalg.eigvalsh(lidar_matrix(views)).clip(min=0)
    p = values / values.sum() + 1e-7
    return float(np.exp(-(p * np.log(p)).sum()))


def lidar_trace(views: Array) -> float:
    return float(np.trace(lidar_matrix(views)))


def signal_directions(views: Array) -> float:
    m, q, p = views.shape
    between, within = scatters(views)
    ratio = np.linalg.eigvals(np.linalg.inv(within * q / (q - 1)) @ between * m / (m - 1)).real
    b, c = p / (m - 1), p / (m * (q - 1))
    edge = ((1 + (b + c - b * c) ** 0.5) / (1 - c)) ** 2
    return float(sum(value > max(1 + 1 / q, edge / q) for value in ratio))


def variance_ratio(views: Array) -> float:
    m, q, _ = views.shape
    between, within = scatters(views)
    signal, noise = np.trace(between) * m / (m - 1), np.trace(within) * q / (q - 1)
    return float((signal - noise / q) / noise)


def median_variance_ratio(views: Array) -> float:
    z = numbers(views)
    means = z.mean(1)
    far = [((m - np.median(means, axis=0)) ** 2).sum() for m in means]
    within = [((image - image.mean(0)) ** 2).sum() / (len(image) - 1) for image in z]
    return float(np.median(far) / np.median(within))


# Labels


def by_class(sample: Array, labels: Array) -> list[Array]:
    return [numbers(sample)[labels == name] for name in np.unique(labels)]


def nc1(sample: Array, labels: Array) -> float:
    groups = by_class(sample, labels)
    means = np.array([group.mean(0) for group in groups])
    between = np.cov(means, rowvar=False, bias=True)
    within = sum((group - group.mean(0)).T @ (group - group.mean(0)) for group in groups) / len(sample)
    return float(np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / len(groups))


def cdnv(sample: Array, labels: Array) -> float:
    ratios = [
        (one.var(0).sum() + other.var(0).sum()) / (2 * ((one.mean(0) - other.mean(0)) ** 2).sum())
        for one, other in permutations(by_class(sample, labels), 2)
    ]
    return float(np.mean(ratios))


# Softmax


def log_k(probabilities: Array) -> float:
    return float(np.log(probabilities.shape[1]))


def softmax_images(probabilities: Array) -> float:
    return float(len(probabilities))


def marginal_entropy(probabilities: Array) -> float:
    return float(entropy(probabilities.mean(0)))


def used_prototypes(probabilities: Array) -> float:
    return float(np.exp(entropy(probabilities.mean(0))))


def top_prototype_share(probabilities: Array) -> float:
    return float(max(probabilities.mean(0)))


def mean_entropy(entropies: Array) -> float:
    return float(np.mean(entropies))


def mutual_information(probabilities: Array) -> float:
    n, k = probabilities.shape
    without = [entropy(np.delete(probabilities, i, axis=0).mean(0)) for i in range(n)]
    corrected = n * entropy(probabilities.mean(0)) - (n - 1) * np.mean(without)
    return float(max(0.0, min(np.log(k), corrected) - np.mean([entropy(p) for p in probabilities])))


def kl_to_teacher(probabilities: Array, teacher: Array) -> float:
    return float(np.mean([entropy(t, s) for t, s in zip(teacher, probabilities, strict=True)]))


def teacher_entropy(teacher: Array) -> float:
    return float(np.mean([entropy(t) for t in teacher]))


def distinct_prototypes(prototypes: Array) -> float:
    cosines = unit(prototypes) @ unit(prototypes).T
    waiting, found = set(range(len(prototypes))), 0
    while waiting:
        chain, found = [waiting.pop()], found + 1
        while chain:
            near = {j for j in waiting if cosines[chain[-1], j] > 0.975}
            chain.pop()
            chain.extend(near)
            waiting -= near
    return float(found)


def position_information(entropies: Array, position_probabilities: Array) -> float:
    return float(max(0.0, np.mean([entropy(p) for p in position_probabilities]) - np.mean(entropies)))


# Tokens


def sums_of_squares(raw_tokens: Array) -> tuple[float, float, float]:
    """(image, position, interaction), over their sum."""
    x = numbers(raw_tokens)
    x = x - x.mean((0, 1))
    images, positions = x.mean(1, keepdims=True), x.mean(0, keepdims=True)
    parts = [np.broadcast_to(part, x.shape) for part in (images, positions, x - images - positions)]
    squares = [float((part**2).sum()) for part in parts]
    return squares[0] / sum(squares), squares[1] / sum(squares), squares[2] / sum(squares)


def token_image_share(raw_tokens: Array) -> float:
    return sums_of_squares(raw_tokens)[0]


def token_position_share(raw_tokens: Array) -> float:
    return sums_of_squares(raw_tokens)[1]


def token_interaction_share(raw_tokens: Array) -> float:
    return sums_of_squares(raw_tokens)[2]


def token_within_share(raw_tokens: Array) -> float:
    x = numbers(raw_tokens)
    return float(((x - x.mean(1, keepdims=True)) ** 2).sum() / ((x - x.mean((0, 1))) ** 2).sum())


# Similarity


def cka(one: Array, other: Array) -> float:
    """From N x N Gram matrices, doubly centred: the form that the fast one must equal."""
    n = len(one)
    centring = np.eye(n) - np.ones((n, n)) / n
    k, g = (centring @ numbers(z) @ numbers(z).T @ centring for z in (one, other))
    return float((k * g).sum() / np.sqrt((k * k).sum() * (g * g).sum()))


def cka_to_start(sample: Array, start: Array) -> float:
    return cka(sample, start)


def cka_to_base(sample: Array, base: Array) -> float:
    return cka(sample, base)


# Gradients


def gradient_averages(gradients: list[Array]) -> tuple[float, float]:
    """(norm, signal-to-noise) of one layer after the last of its gradients, each a vector: by weights that sum to one."""
    weights = np.array([0.9**age for age in reversed(range(len(gradients)))])
    weights = weights / weights.sum()
    mean = sum(w * numbers(g) for w, g in zip(weights, gradients, strict=True))
    square = sum(w * (numbers(g) @ numbers(g)) for w, g in zip(weights, gradients, strict=True))
    noise = sum(w * ((numbers(g) - mean) ** 2).sum() for w, g in zip(weights, gradients, strict=True))
    signal = mean @ mean - (weights @ weights) * square  # what noise alone would leave in the mean, taken away
    return float(np.sqrt(square)), float(max(0, signal) / noise) if len(gradients) > 1 else np.inf


def gradient_norm(gradient_norms: dict[str, float]) -> float:
    return float(np.linalg.norm(list(gradient_norms.values())))


def gradient_snr(gradient_snrs: dict[str, float]) -> float:
    return float(np.median(list(gradient_snrs.values())))


HELPERS = {
    "numbers",
    "spread",
    "unit",
    "entropy_rank",
    "fitted",
    "drop_of",
    "from_median",
    "excess",
    "neighbour_distances",
    "gradient_averages",
}
HELPERS |= {"local_dimensions", "clustered", "scatters", "lidar_matrix", "by_class", "sums_of_squares", "cka"}
ORACLES: dict[str, Callable[..., float]] = {
    name: found
    for name, found in list(globals().items())
    if callable(found) and getattr(found, "__module__", "") == __name__ and name not in HELPERS
}
