"""Families of softmax outputs and prototypes. The features beside them are healthy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from bench.families import Array, Drawn, family
from bench.families.shapes import Generator, power, single, softmax

from collapselab.collapse.evidence import Evidence

SIZES = ((256, 64), (1000, 256), (512, 64), (4000, 64))
ONE = {"prototype": "one prototype for all is one-hot; a second that is used now and then makes it prototype as well"}


def _with(
    g: Generator,
    n: int,
    d: int,
    p: Array,
    *,
    prototypes: Array | None = None,
    about: Mapping[str, float | str] | None = None,
    open: Mapping[str, str] | None = None,
) -> Drawn:
    """Probabilities [n, K] beside healthy features [n, d]."""
    features = single(power(g, n, d, g.uniform(0, 1)))
    evidence = Evidence(
        features, probabilities=single(p), prototypes=None if prototypes is None else single(prototypes)
    )
    return Drawn(evidence, about={"K": p.shape[1]} | dict(about or {}), open=dict(open or {}))


def _number(g: Generator, *choices: int) -> int:
    return int(g.choice(choices))


# healthy


@family("cosine logits of healthy features, temperature .1 to .2: soft and varied", sizes=SIZES)
def soft_assignments(g: Generator, n: int, d: int) -> Drawn:
    k, temperature = _number(g, 64, 256, 1024), g.uniform(0.1, 0.2)
    z, weights = power(g, n, d, g.uniform(0, 1)), g.normal(size=(k, d))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    p = softmax(z @ weights.T / temperature)
    return _with(g, n, d, p, prototypes=weights, about={"temperature": temperature})


@family("nearly all mass on one prototype, another for each image, of 16 to 65,536", sizes=SIZES)
def peaky_assignments(g: Generator, n: int, d: int) -> Drawn:
    k = _number(g, 16, 64, 256, 1024, 4096, 65536 if n <= 256 else 4096)
    logits = g.normal(size=(n, k))
    logits[np.arange(n), g.integers(0, k, n)] += g.uniform(8, 20)
    return _with(g, n, d, softmax(logits))


@family("a classifier of 10 to 100 balanced classes, confident or not", sizes=SIZES)
def classifier(g: Generator, n: int, d: int) -> Drawn:
    k, margin = _number(g, 10, 20, 100), g.uniform(2, 15)
    logits = g.normal(size=(n, k))
    logits[np.arange(n), g.integers(0, k, n)] += margin
    return _with(g, n, d, softmax(logits), about={"margin": margin})


@family("a confident classifier of two or three classes, the rarer ones 10 to 40 % of the images", sizes=SIZES)
def imbalanced_classifier(g: Generator, n: int, d: int) -> Drawn:
    k, rare = _number(g, 2, 3), g.uniform(0.1, 0.4)
    shares = np.r_[1 - rare, np.full(k - 1, rare / (k - 1))]
    logits = g.normal(size=(n, k))
    logits[np.arange(n), g.choice(k, n, p=shares)] += g.uniform(6, 15)
    return _with(g, n, d, softmax(logits), about={"rare": rare})


@family("classes of shares 1 / i, 20 to 100 of them, confident", sizes=SIZES)
def long_tailed_classifier(g: Generator, n: int, d: int) -> Drawn:
    k = _number(g, 20, 50, 100)
    shares = 1 / np.arange(1, k + 1.0)
    logits = g.normal(size=(n, k))
    logits[np.arange(n), g.choice(k, n, p=shares / shares.sum())] += g.uniform(5, 15)
    return _with(g, n, d, softmax(logits))


@family("prototypes used like 1 / i (Zipf), 256 to 1,024 of them, each image on three", sizes=SIZES)
def zipf_prototypes(g: Generator, n: int, d: int) -> Drawn:
    k = _number(g, 256, 1024)
    shares = 1 / np.arange(1, k + 1.0)
    logits = g.normal(size=(n, k))
    for bonus in (10.0, 9.0, 8.0):
        logits[np.arange(n), g.choice(k, n, p=shares / shares.sum())] += bonus
    return _with(g, n, d, softmax(logits))


@family("nearly uniform, but not the same for all images: 5 to 20 % of ln K is missing", sizes=SIZES)
def undecided(g: Generator, n: int, d: int) -> Drawn:
    k, wanted = _number(g, 10, 64, 256, 1024), g.uniform(0.05, 0.2)
    logits, low, high = g.normal(size=(n, k)), 0.0, 10.0
    for _ in range(30):
        scale = (low + high) / 2
        p = softmax(scale * logits).astype(np.float64)
        gap = 1 + float((p * np.log(p + 1e-300)).sum(1).mean()) / np.log(k)
        low, high = (scale, high) if gap < wanted else (low, scale)
    return _with(g, n, d, softmax(scale * logits), about={"gap": wanted})


@family("random prototypes in general position, 64 to 1,024 in 32 dimensions and more", sizes=SIZES)
def varied_prototypes(g: Generator, n: int, d: int) -> Drawn:
    k, dim = _number(g, 64, 256, 1024), _number(g, 32, 64, 256)
    p = softmax(3 * g.normal(size=(n, k)))
    return _with(g, n, d, p, prototypes=g.normal(size=(k, dim)) + g.uniform(0, 0.5), about={"dimensions": dim})


# collapsed


@family("mass .98 to 1 - 1e-9 on the same prototype for every image", holds=["one-hot"], open=ONE, sizes=SIZES)
def one_prototype_for_all(g: Generator, n: int, d: int) -> Drawn:
    k, rest = _number(g, 10, 64, 1024, 4096), 10 ** g.uniform(-9, -1.7)
    others = g.dirichlet(np.ones(k - 1), n) * rest
    return _with(g, n, d, np.c_[1 - others.sum(1), others], about={"rest": rest})


@family("one prototype for all but 1 to 3 % of the images", holds=["one-hot"], open=ONE, sizes=SIZES)
def nearly_all_on_one(g: Generator, n: int, d: int) -> Drawn:
    k, share = _number(g, 10, 64, 1024), g.uniform(0.01, 0.03)
    winners = np.where(g.random(n) < share, g.integers(0, k, n), 0)
    logits = g.normal(size=(n, k))
    logits[np.arange(n), winners] += g.uniform(14, 20)
    return _with(g, n, d, softmax(logits), about={"others": share})


@family("logits of standard deviation 1e-4 to .05: the same mass everywhere", holds=["uniform"], sizes=SIZES)
def uniform_softmax(g: Generator, n: int, d: int) -> Drawn:
    k, scale = _number(g, 10, 64, 1024, 4096), 10 ** g.uniform(-4, -1.3)
    return _with(g, n, d, softmax(scale * g.normal(size=(n, k))), about={"scale": scale})


@family("uniform from the start: an untrained head against itself", sizes=SIZES)
def untrained_head(g: Generator, n: int, d: int) -> Drawn:
    k, scale = _number(g, 64, 1024), 10 ** g.uniform(-2, -0.5)
    start = _with(g, n, d, softmax(scale * g.normal(size=(n, k)))).evidence
    now = _with(g, n, d, softmax(scale * g.uniform(0.9, 1.2) * g.normal(size=(n, k)))).evidence
    return Drawn(now, start, {"K": k, "scale": scale})


@family("uniform where the head started with a gap of several percent", holds=["uniform"], sizes=SIZES)
def uniform_from_start(g: Generator, n: int, d: int) -> Drawn:
    k = _number(g, 64, 1024)
    start = _with(g, n, d, softmax(g.uniform(0.5, 1) * g.normal(size=(n, k)))).evidence
    now = _with(g, n, d, softmax(10 ** g.uniform(-4, -1.5) * g.normal(size=(n, k)))).evidence
    return Drawn(now, start, {"K": k})


@family("2 of 64, 3 of 128 or 5 of 1,024 prototypes in use, one an image", holds=["prototype"], sizes=SIZES)
def few_prototypes(g: Generator, n: int, d: int) -> Drawn:
    used, k = ((2, 64), (3, 128), (5, 1024))[g.integers(3)]
    logits = g.normal(size=(n, k))
    logits[np.arange(n), g.integers(0, used, n)] += g.uniform(12, 20)
    return _with(g, n, d, softmax(logits), about={"used": used})


@family(
    "2 of 64, 3 of 128 or 5 of 1,024 prototypes in use, softly shared by all images", holds=["prototype"], sizes=SIZES
)
def few_soft_prototypes(g: Generator, n: int, d: int) -> Drawn:
    used, k = ((2, 64), (3, 128), (5, 1024))[g.integers(3)]
    logits = g.normal(size=(n, k))
    logits[:, :used] += g.uniform(12, 20)
    return _with(g, n, d, softmax(logits), about={"used": used})


@family(
    "prototype weights that are 3 to 15 % distinct, the rest copies with noise of 1 to 5 %",
    holds=["prototype"],
    sizes=SIZES,
)
def copied_prototypes(g: Generator, n: int, d: int) -> Drawn:
    k, dim = _number(g, 64, 256, 1024), _number(g, 32, 64, 256)
    distinct, noise = max(2, round(g.uniform(0.03, 0.15) * k)), g.uniform(0.01, 0.05)
    weights = g.normal(size=(distinct, dim))[g.integers(0, distinct, k)] + noise * g.normal(size=(k, dim))
    p = softmax(3 * g.normal(size=(n, k)))
    return _with(g, n, d, p, prototypes=weights, about={"distinct": distinct, "noise": noise})
