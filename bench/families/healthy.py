"""Healthy features: no kind may be named, unless a family leaves it open."""

from __future__ import annotations

from functools import partial

import numpy as np
from bench.families import Drawn, family
from bench.families.shapes import Array, Generator, brain, classes, mixed, offset, power, single, spectrum, student
from sklearn.datasets import load_breast_cancer, load_digits

from collapselab.collapse.evidence import Evidence


@family("isotropic Gaussian", huge=True)
def gaussian(g: Generator, n: int, d: int) -> Array:
    return single(g.normal(size=(n, d)))


def _power_law(g: Generator, n: int, d: int, alpha: float) -> Array:
    return single(power(g, n, d, alpha))


for _alpha in (0.5, 1.0, 1.5, 2.0, 2.5):
    family(f"eigenvalues i^-{_alpha}, turned", name=f"power-law-{_alpha}", huge=True)(partial(_power_law, alpha=_alpha))


@family("a power law of .3 to .8 that turns into one of 2 to 3 behind a tenth to a half of the directions")
def bent_power_law(g: Generator, n: int, d: int) -> Drawn:
    first, second, knee = g.uniform(0.3, 0.8), g.uniform(2, 3), g.uniform(0.1, 0.5) * d
    i = np.arange(1, d + 1.0)
    eigenvalues = np.where(i < knee, i**-first, knee ** (second - first) * i**-second)
    return Drawn(Evidence(single(spectrum(g, n, eigenvalues))), about={"knee": knee / d, "second": second})


@family("channels whose scales are spread over two decades, evenly in the logarithm, or log-normally")
def unequal_channels(g: Generator, n: int, d: int) -> Array:
    scales = 10 ** g.uniform(-1, 1, d) if g.random() < 0.5 else np.exp(g.normal(size=d))
    return single(power(g, n, d, g.uniform(0, 0.5)) * scales)


@family(
    "3 to 20 classes of equal share, standard deviation .5 to 1 of the centres' inside them, labels given", huge=True
)
def loose_classes(g: Generator, n: int, d: int) -> Drawn:
    k, within = int(g.integers(3, 21)), g.uniform(0.5, 1)
    x, labels = classes(g, n, d, k, within)
    return Drawn(Evidence(single(x), labels=labels), about={"classes": k, "within": within})


@family("ten to thirty classes whose shares fall off like 1 / i, standard deviation .5 to 1 inside")
def long_tailed_classes(g: Generator, n: int, d: int) -> Drawn:
    k, within = int(g.integers(10, 31)), g.uniform(0.5, 1)
    shares = 1 / np.arange(1, k + 1.0)
    x, labels = classes(g, n, d, k, within, shares / shares.sum())
    return Drawn(Evidence(single(x), labels=labels), about={"classes": k, "within": within})


@family("50 to 200 classes (at least 4 images each), standard deviation .4 to .8 inside")
def many_classes(g: Generator, n: int, d: int) -> Drawn:
    k, within = int(g.integers(50, min(200, n // 4) + 1)), g.uniform(0.4, 0.8)
    x, labels = classes(g, n, d, k, within)
    return Drawn(Evidence(single(x), labels=labels), about={"classes": k, "within": within})


@family("3 to 5 families of 4 to 10 classes each, the families twice as far apart, standard deviation .5 to 1 inside")
def nested_classes(g: Generator, n: int, d: int) -> Drawn:
    families, k, within = int(g.integers(3, 6)), int(g.integers(4, 11)), g.uniform(0.5, 1)
    names = g.integers(0, families * k, n)
    x = (2 * g.normal(size=(families, d)))[names // k] + g.normal(size=(families * k, d))[names]
    spread = np.sqrt(5) * within  # of all centres
    return Drawn(Evidence(single(x + spread * g.normal(size=(n, d))), labels=names), about={"within": within})


@family("uniform on the unit sphere")
def hypersphere(g: Generator, n: int, d: int) -> Array:
    x = g.normal(size=(n, d))
    return single(x / np.linalg.norm(x, axis=1, keepdims=True))


@family("on the unit sphere about a common direction (mean cosine .3 to .9), power law .5 to 1")
def cone(g: Generator, n: int, d: int) -> Array:
    x = offset(g, power(g, n, d, g.uniform(0.5, 1)), g.uniform(0.6, 3))
    return single(x / np.linalg.norm(x, axis=1, keepdims=True))


@family("ReLU of correlated Gaussian features (power law 0 to 1) with a bias a channel", huge=True)
def relu(g: Generator, n: int, d: int) -> Array:
    return single(np.maximum(power(g, n, d, g.uniform(0, 1)) + g.normal(0, 0.5, d), 0))


@family("mean over 16 positions of a ReLU map, part of which is common to an image: a large mean and a small spread")
def pooled_relu(g: Generator, n: int, d: int) -> Array:
    common, total = power(g, n, d, g.uniform(0.5, 1)), np.zeros((n, d))
    for _ in range(16):
        total += np.maximum(common + 1.5 * g.normal(size=(n, d)), 0)
    return single(total / 16)


@family("batch-normalised channels of correlated features, shifted by -1 to 0, then ReLU")
def batch_norm_relu(g: Generator, n: int, d: int) -> Array:
    x = power(g, n, d, g.uniform(0.3, 1.2))
    x = (x - x.mean(0)) / x.std(0)
    return single(np.maximum(x * g.uniform(0.5, 1.5, d) + g.uniform(-1, 0, d), 0))


@family("LayerNorm of correlated features, then a gain and a bias a channel: one direction dies, no more")
def layer_norm(g: Generator, n: int, d: int) -> Array:
    x = power(g, n, d, g.uniform(0.3, 1.2))
    x = (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)
    return single(x * g.uniform(0.5, 1.5, d) + g.normal(0, 0.3, d))


@family("each value active with probability .02 to .1, half-normal where it is")
def sparse(g: Generator, n: int, d: int) -> Drawn:
    active = g.uniform(0.02, 0.1)
    x = np.abs(g.normal(size=(n, d))) * (g.random((n, d)) < active)
    return Drawn(Evidence(single(x)), about={"active": active})


@family("codes whose units are active with shares .3 i^-.7, not below .02: some for most images, some for few")
def uneven_codes(g: Generator, n: int, d: int) -> Array:
    active = np.maximum(0.3 * np.arange(1, d + 1.0) ** -0.7, 0.02)
    return single(g.gamma(2, 0.5, (n, d)) * (g.random((n, d)) < active))


@family("multivariate t, 2 to 3 degrees of freedom: rows of very different length", huge=True)
def heavy_rows(g: Generator, n: int, d: int) -> Array:
    return single(student(g, n, d, g.uniform(2, 3)))


@family("independent t, 2 to 3 degrees of freedom, in every value, turned or not")
def heavy_values(g: Generator, n: int, d: int) -> Array:
    x = g.standard_t(g.uniform(2, 3), size=(n, d))
    return single(mixed(g, x) if g.random() < 0.5 else x)


@family("multivariate Cauchy, 1 to 1.5 degrees of freedom: a few rows longer than all others together")
def heaviest_rows(g: Generator, n: int, d: int) -> Array:
    return single(student(g, n, d, g.uniform(1, 1.5)))


@family("gamma values of shape .1 to .5: mostly near 0, some large")
def gamma_values(g: Generator, n: int, d: int) -> Array:
    return single(g.gamma(g.uniform(0.1, 0.5), 1, (n, d)))


@family("Poisson counts of rate .05 to 1, stored as integers")
def counts(g: Generator, n: int, d: int) -> Array:
    return g.poisson(g.uniform(0.05, 1), (n, d))


@family("a mean 30 standard deviations long a channel, power law 0 to 1")
def large_mean(g: Generator, n: int, d: int) -> Array:
    return single(offset(g, power(g, n, d, g.uniform(0, 1)), 30))


@family("values of about 1e-6, power law 0 to 1.5")
def small_norm(g: Generator, n: int, d: int) -> Array:
    return single(1e-6 * power(g, n, d, g.uniform(0, 1.5)))


@family("values of about 1e6, power law 0 to 1.5")
def large_norm(g: Generator, n: int, d: int) -> Array:
    return single(1e6 * power(g, n, d, g.uniform(0, 1.5)))


@family("neighbouring channels correlated: AR(1) along channels, .5 to .95")
def autoregressive(g: Generator, n: int, d: int) -> Drawn:
    rho = g.uniform(0.5, 0.95)
    x = g.normal(size=(n, d))
    for channel in range(1, d):
        x[:, channel] = rho * x[:, channel - 1] + np.sqrt(1 - rho**2) * x[:, channel]
    return Drawn(Evidence(single(x)), about={"rho": rho})


@family("one random tanh layer, gain 1 to 2, on 10 to 20 latent factors: curved, not flat")
def tanh_network(g: Generator, n: int, d: int) -> Drawn:
    latent, gain = int(g.integers(10, 21)), g.uniform(1, 2)
    weights = g.normal(size=(latent, d)) * gain / np.sqrt(latent)
    x = np.tanh(g.normal(size=(n, latent)) @ weights + g.normal(0, 0.5, d))
    return Drawn(Evidence(single(x)), about={"latent": latent, "gain": gain})


@family("two random ReLU layers (He initialisation) on 10 to 20 latent factors")
def relu_network(g: Generator, n: int, d: int) -> Drawn:
    latent, width = int(g.integers(10, 21)), 2 * d
    hidden = np.maximum(g.normal(size=(n, latent)) @ g.normal(0, np.sqrt(2 / latent), (latent, width)), 0)
    x = np.maximum(hidden @ g.normal(0, np.sqrt(2 / width), (width, d)), 0)
    return Drawn(
        Evidence(single(x)),
        about={"latent": latent},
        open={
            "dimensional": "10 to 20 factors through ReLU leave a spectrum that falls steeply behind as many directions"
        },
    )


@family("random Fourier features of 6 to 10 latent factors: a curved manifold of as many dimensions")
def manifold(g: Generator, n: int, d: int) -> Drawn:
    latent = int(g.integers(6, 11))
    x = np.cos(g.normal(size=(n, latent)) @ g.normal(size=(latent, d)) + g.uniform(0, 2 * np.pi, d))
    return Drawn(Evidence(single(x)), about={"latent": latent})


@family("3 to 10 Gaussians that overlap, scales up to 10 times apart")
def unequal_mixture(g: Generator, n: int, d: int) -> Drawn:
    k = int(g.integers(3, 11))
    scales, names = 10 ** g.uniform(-0.5, 0.5, k), g.integers(0, k, n)
    x = 0.3 * g.normal(size=(k, d))[names] + scales[names, None] * g.normal(size=(n, d))
    return Drawn(Evidence(single(x)), about={"components": k, "scales": float(scales.max() / scales.min())})


@family("stored in float16: power law .5 to 1.5, a mean of 0 to 10 standard deviations")
def half_precision(g: Generator, n: int, d: int) -> Array:
    x = offset(g, power(g, n, d, g.uniform(0.5, 1.5)), g.uniform(0, 10))
    return np.asarray(x, dtype=np.float16)


@family("rounded to bfloat16: power law 0 to 1, next to no mean")
def brain_precision(g: Generator, n: int, d: int) -> Array:
    return brain(offset(g, power(g, n, d, g.uniform(0, 1)), g.uniform(0, 0.5)))


@family("quantised to 0 .. 255 with 3 standard deviations inside, power law 0 to 1")
def eight_bits(g: Generator, n: int, d: int) -> Array:
    x = power(g, n, d, g.uniform(0, 1))
    return single(np.clip(np.rint(128 + 42 * x), 0, 255))


@family("one to three rogue channels that hold 20 to 60 % of the variance, as language models and ViTs have")
def rogue_channels(g: Generator, n: int, d: int) -> Drawn:
    x, rogue, share = power(g, n, d, g.uniform(0, 0.5)), int(g.integers(1, 4)), g.uniform(0.2, 0.6)
    x[:, :rogue] *= np.sqrt(share / (1 - share) * d / rogue)
    return Drawn(Evidence(single(x)), about={"rogue": rogue, "share": share})


@family("ReLU features with up to 3 % of the channels dead")
def few_dead_channels(g: Generator, n: int, d: int) -> Array:
    x = np.maximum(power(g, n, d, g.uniform(0, 1)), 0)
    x[:, : round(g.uniform(0, 0.03) * d)] = 0
    return single(x)


@family("log-normal values, sigma .5 to 1.5")
def log_normal(g: Generator, n: int, d: int) -> Array:
    return single(np.exp(g.uniform(0.5, 1.5) * g.normal(size=(n, d))))


@family("independent Laplace sources, turned")
def laplace(g: Generator, n: int, d: int) -> Array:
    return single(mixed(g, g.laplace(size=(n, d))))


@family("codes of -1 and 1: the signs of correlated features")
def binary_codes(g: Generator, n: int, d: int) -> Array:
    return single(np.sign(power(g, n, d, g.uniform(0, 0.7)) + 1e-9))


@family("a softmax read as features: positive, rows that sum to 1")
def simplex(g: Generator, n: int, d: int) -> Array:
    return single(g.dirichlet(np.full(d, g.uniform(0.1, 1)), n))


@family("every image two or three times over")
def repeated_rows(g: Generator, n: int, d: int) -> Array:
    times = int(g.integers(2, 4))
    x = power(g, -(-n // times), d, g.uniform(0, 1))
    return single(g.permutation(np.repeat(x, times, axis=0)[:n]))


@family("Gaussian, 1 to 5 % of the rows 3 to 8 times as long")
def mild_outliers(g: Generator, n: int, d: int) -> Array:
    x = power(g, n, d, g.uniform(0, 1))
    far = g.random(n) < g.uniform(0.01, 0.05)
    x[far] *= g.uniform(3, 8, (int(far.sum()), 1))
    return single(x)


@family("healthy, one to four rows (never more than 1 %) 100 to 100,000 times too long: damaged files")
def damaged_rows(g: Generator, n: int, d: int) -> Drawn:
    x, count = power(g, n, d, g.uniform(0, 1)), int(g.integers(1, min(4, n // 100) + 1))
    x[:count] *= 10 ** g.uniform(2, 5, (count, 1))
    return Drawn(Evidence(single(g.permutation(x))), about={"rows": count})


@family("rows in time: each .5 to .8 of the one before")
def correlated_rows(g: Generator, n: int, d: int) -> Drawn:
    rho, x = g.uniform(0.5, 0.8), power(g, n, d, g.uniform(0, 1))
    for row in range(1, n):
        x[row] = rho * x[row - 1] + np.sqrt(1 - rho**2) * x[row]
    return Drawn(Evidence(single(x)), about={"rho": rho})


@family("the pixels of scikit-learn's digits: real data, three channels dead", sizes=((256, 64), (500, 64), (1797, 64)))
def digit_pixels(g: Generator, n: int, d: int) -> Drawn:
    found = load_digits()
    rows = g.permutation(len(found.data))[:n]
    return Drawn(Evidence(single(found.data[rows]), labels=found.target[rows]))


@family(
    "scikit-learn's breast cancer table, standardised: strongly correlated measurements", sizes=((256, 30), (569, 30))
)
def tabular(g: Generator, n: int, d: int) -> Array:
    x = load_breast_cancer().data
    x = (x - x.mean(0)) / x.std(0)
    return single(x[g.permutation(len(x))[:n]])
