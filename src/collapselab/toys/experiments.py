"""The simulations: InfoNCE by gradient descent on Gaussian samples, nothing of the theory assumed.

More than the paper has: how the threshold sharpens with time, what becomes of it where both views are augmented, and what
a longer training under stronger noise undoes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from collapselab.randomness import generator
from collapselab.toys.flow import alignment, imbalance, rates
from collapselab.toys.infonce import Float, Pairs, contrast, softmax
from collapselab.toys.network import Network, descend

DIM, BLOCK = 16, 8  # figure 3: 16 x 16 weights, noise in the last 8 coordinates
IMAGES = 128
RATE = 0.05  # of gradient descent; time is rate times steps
SEED = 0
AMPLITUDES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 4.0)  # k
SHOWN = (0.0, 0.5, 1.0, 1.5, 2.0, 4.0)  # of them, drawn as spectra
TIMES = (0.0, 5.0, 20.0, 100.0)
WEAK, STRONGER = 0.1, 0.5  # variance of the augmentation in every direction, beside 1 of the data
SMALL = 0.05  # standard deviation of initial weights: theory is about small ones, torch's linear layer would have .14
RATES_AT = 10.0  # the time at which growth is compared with theorem 3, while it lasts
LONG = 300.0
DEPTHS, DEPTH_TIME, DEPTH_SEEDS = (1, 2, 3, 4), 100.0, (0, 1, 2)
KEPT = 0.01  # eigenvalue over the largest from which a direction counts as kept


@dataclass(frozen=True)
class Strong:
    """One layer under noise of variance k in half of the coordinates.

    Attributes:
        spectra: (k, time) -> singular values of W [16], descending.
        drive: k -> eigenvalues of X at the end, divided by mean (1 - alpha_ii), [16], descending.
        least: (k, time) -> geometric mean of the eight smallest singular values, in units of their start.
        still: what `least` tends to if W's noisy columns stand still while the others grow without end. Not 1: only then are
            the eight smallest those of the noisy half.
    """

    spectra: dict[tuple[float, float], Float]
    drive: dict[float, Float]
    least: dict[tuple[float, float], float]
    still: float

    def crossing(self, time: float, level: float = 1.0) -> float:
        """The k at which `least` is `level`, between the simulated ones by a straight line on the logarithm."""
        logs = np.log([self.least[k, time] for k in AMPLITUDES])
        return float(np.interp(-np.log(level), -logs, AMPLITUDES))


def strong_augmentation(*, both: bool = False) -> Strong:
    """Section 4, figure 3; `both` views augmented, by half of the noise each, instead of one."""
    spectra: dict[tuple[float, float], Float] = {}
    drive: dict[float, Float] = {}
    data, steps = np.ones(DIM), {round(time / RATE): time for time in TIMES}
    for k in AMPLITUDES:
        # The same samples and the same start for each k: only the amplitude differs.
        noise = np.where(np.arange(DIM) < DIM - BLOCK, 0.0, k)
        pairs = Pairs.draw(IMAGES, data, noise, generator(SEED, "toys/strong"), both=both)
        start = Network([SMALL * generator(SEED, "toys/one-layer").standard_normal((DIM, DIM))])
        seen: dict[float, Network] = {}

        def watch(step: int, network: Network, _: float, seen: dict[float, Network] = seen) -> None:
            if step in steps:
                seen[steps[step]] = network

        end = descend(start, pairs, RATE, max(steps), watch)
        spectra |= {(k, time): singular(network.product) for time, network in seen.items()}
        alpha, _ = softmax(end.embed(pairs.clean), end.embed(pairs.augmented))
        parts = contrast(alpha, pairs)
        drive[k] = _eigenvalues(parts[0] - parts[1]) / float(np.mean(1 - np.diag(alpha)))
    least = {(k, time): _least(values) / _least(spectra[k, 0.0]) for (k, time), values in spectra.items()}
    return Strong(spectra, drive, least, _still(start.product))


def _least(values: Float) -> float:
    return float(np.exp(np.log(values[-BLOCK:]).mean()))


def _still(weight: Float) -> float:
    """The noisy columns less what lies in the others' span: the rest drowns in singular values that grow without end."""
    basis, noisy = np.linalg.qr(weight[:, :-BLOCK])[0], weight[:, -BLOCK:]
    return _least(singular(noisy - basis @ basis.T @ noisy)) / _least(singular(weight))


@dataclass(frozen=True)
class Trace:
    """A training of two linear layers.

    Attributes:
        noise: variance of the augmentation in every direction.
        times: [T]; losses: [T].
        first, second, whole: singular values of W_1, W_2 and W_2 W_1, [T, 16], descending.
        embedding: eigenvalues of the embeddings' covariance, [T, 16], descending.
        aligned: |V_2^T U_1| at a few times, [16, 16] each.
        drift: largest change of an entry of D = W_1 W_1^T - W_2^T W_2 since the start, over its largest entry then.
        imbalance: spectral norm of D at the end.
        rates: growth of W_1's singular values at time RATES_AT, [2, 16]: by theorem 3, and as trained.
    """

    noise: float
    times: Float
    losses: Float
    first: Float
    second: Float
    whole: Float
    embedding: Float
    aligned: dict[float, Float]
    drift: float
    imbalance: float
    rates: Float

    @property
    def diagonals(self) -> dict[float, Float]:
        return {time: np.diag(matrix) for time, matrix in self.aligned.items()}

    @property
    def kept(self) -> list[int]:
        """How many eigenvalues of the embeddings' covariance are above a hundredth of the largest, [T]."""
        return [int(count) for count in (self.embedding > KEPT * self.embedding[:, :1]).sum(1)]

    def row(self, time: float) -> int:
        """The place of the nearest of `times`."""
        return int(np.argmin(np.abs(self.times - time)))


def implicit_regularisation(
    noise: float, time: float, shown: Sequence[float], every: float = 1.0, rate: float = RATE
) -> Trace:
    """Section 5, figures 5 and 6: two layers from small weights."""
    pairs = Pairs.draw(IMAGES, np.ones(DIM), np.full(DIM, noise), generator(SEED, "toys/implicit"))
    weights = [SMALL * generator(SEED, "toys/two-layers", layer).standard_normal((DIM, DIM)) for layer in range(2)]
    steps, stride = round(time / rate), round(every / rate)
    at = {round(moment / rate): moment for moment in shown}
    rows: list[list[float | Float]] = []
    aligned: dict[float, Float] = {}
    growth: list[Float] = []

    def watch(step: int, network: Network, loss: float) -> None:
        if step in at:
            aligned[at[step]] = alignment(*network.weights)
        if step % stride == 0:
            layers = (*network.weights, network.product)
            rows.append([step * rate, loss, *map(singular, layers), spectrum(network, pairs.clean)])
        if step == round(RATES_AT / rate):
            growth.append(_growth(network, pairs))

    end = descend(Network(weights), pairs, rate, steps, watch)
    before, after = imbalance(*weights), imbalance(*end.weights)
    drift, size = np.abs(after - before).max() / np.abs(before).max(), np.linalg.norm(after, 2)
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    times, losses, first, second, whole, embedding = columns
    return Trace(noise, times, losses, first, second, whole, embedding, aligned, float(drift), float(size), growth[0])


def _growth(network: Network, pairs: Pairs) -> Float:
    """s_1' of two linear layers, [2, d]: by theorem 3 with the X of this moment, and from the gradient itself."""
    u, s, v = np.linalg.svd(network.weights[0])
    alpha, _ = softmax(network.embed(pairs.clean), network.embed(pairs.augmented))
    data, noise = contrast(alpha, pairs)
    driving = np.diag(v @ (data - noise) @ v.T)
    predicted, _ = rates(s, singular(network.weights[1]), driving)
    measured = -np.diag(u.T @ network.backward(pairs)[0][0] @ v.T)
    return np.stack([predicted, measured])


def depth() -> dict[tuple[int, bool], Float]:
    """Figure 11: (layers, whether with ReLU) -> eigenvalues of the embeddings' covariance, the largest 1, after equal times.

    [seeds, 16], descending; a single layer has no place for a ReLU.
    """
    return {
        (layers, relu): np.stack([_deep(layers, relu, seed) for seed in DEPTH_SEEDS])
        for layers in DEPTHS
        for relu in ((False, True) if layers > 1 else (False,))
    }


def _deep(layers: int, relu: bool, seed: int) -> Float:
    pairs = Pairs.draw(IMAGES, np.ones(DIM), np.full(DIM, WEAK), generator(seed, "toys/depth"))
    start = Network.initial(layers, DIM, generator(seed, "toys/depth-weights"), relu=relu)
    values = spectrum(descend(start, pairs, RATE, round(DEPTH_TIME / RATE), lambda *_: None), pairs.clean)
    return np.asarray(values / values[0])


def entropy_rank(eigenvalues: Float) -> Float:
    """exp of the entropy of the eigenvalues, each over their sum: over the last axis."""
    share = eigenvalues / eigenvalues.sum(-1, keepdims=True)
    return np.asarray(np.exp(-(share * np.log(np.maximum(share, 1e-300))).sum(-1)))


def spectrum(network: Network, x: Float) -> Float:
    """Eigenvalues of the covariance of the embeddings of x, descending, none below 0."""
    return np.asarray(_eigenvalues(np.cov(network.embed(x).T)).clip(min=0))


def _eigenvalues(symmetric: Float) -> Float:
    """Descending."""
    return np.asarray(np.linalg.eigvalsh(symmetric)[::-1], dtype=np.float64)


def singular(weight: Float) -> Float:
    return np.asarray(np.linalg.svd(weight, compute_uv=False), dtype=np.float64)


@dataclass(frozen=True)
class Toys:
    """Everything that the page shows."""

    strong: Strong
    both: Strong
    weak: Trace
    stronger: Trace
    depth: dict[tuple[int, bool], Float]


def simulate() -> Toys:
    """All of them: half a minute on one core."""
    return Toys(
        strong_augmentation(),
        strong_augmentation(both=True),
        implicit_regularisation(WEAK, 100.0, (0.0, 50.0, 100.0)),
        implicit_regularisation(STRONGER, LONG, (0.0, LONG), every=2.0),
        depth(),
    )
