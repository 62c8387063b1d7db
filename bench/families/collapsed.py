"""Collapsed features that need nothing but themselves: complete, dimensional, cluster, local."""

from __future__ import annotations

from functools import partial

import numpy as np
from bench.families import Array, Drawn, family
from bench.families.shapes import (
    Generator,
    brain,
    classes,
    low_rank,
    mixed,
    offset,
    power,
    single,
    spectrum,
    student,
)

from collapselab.collapse.evidence import Evidence

SPAN = "k points span k - 1 directions, so few directions carry all"
FAR = "the images thrown out lie along few directions or in few places of their own"


# complete


@family("one vector, the last bit random; stored in float32, float16 or bfloat16", holds=["complete"])
def constant_rounding(g: Generator, n: int, d: int) -> Drawn:
    kind = str(g.choice(["float32", "float16", "bfloat16"]))
    epsilon = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}[kind]
    x = g.normal(size=d) * (1 + epsilon * g.integers(-1, 2, (n, d)) * (g.random((n, d)) < 0.3))
    stored = {"float32": single, "float16": partial(np.asarray, dtype=np.float16), "bfloat16": brain}[kind](x)
    return Drawn(Evidence(stored), about={"stored": kind})


@family("one vector with noise of 1e-7 of it, in float32", holds=["complete"])
def constant_noise(g: Generator, n: int, d: int) -> Array:
    return single(g.normal(size=d) * (1 + 1e-7 * g.normal(size=(n, d))))


@family("exactly one vector; sometimes 0", holds=["complete"])
def constant(g: Generator, n: int, d: int) -> Array:
    return single(np.tile(g.normal(size=d) * g.integers(0, 2), (n, 1)))


def _outliers(g: Generator, n: int, d: int, least: float, most: float) -> Drawn:
    """A point of isotropic noise; a share of the images thrown 15 to 1,000 radii out, along a line or all ways."""
    share, far, line = g.uniform(least, most), 10 ** g.uniform(1.5, 3), g.random() < 0.5
    x = offset(g, g.normal(size=(n, d)), g.uniform(0, 100))
    thrown = g.permutation(n)[: max(2, round(share * n))]
    size = far * g.uniform(0.5, 1, (len(thrown), 1)) * np.sqrt(d)
    ways = g.normal(size=(1 if line else len(thrown), d))
    x[thrown] += size * ways / np.linalg.norm(ways, axis=1, keepdims=True)
    return Drawn(Evidence(single(x)), about={"thrown": share, "far": far, "line": float(line)})


_OPEN = {"dimensional": FAR, "cluster": FAR, "local": FAR}
family(
    "a tight point, 2 to 6 % of the images thrown 15 to 1,000 radii out",
    holds=["complete"],
    open=_OPEN,
    name="point-few-outliers",
)(partial(_outliers, least=0.02, most=0.06))
family(
    "a tight point, 6 to 10 % of the images thrown 15 to 1,000 radii out",
    holds=["complete"],
    open=_OPEN,
    name="point-more-outliers",
)(partial(_outliers, least=0.06, most=0.1))


@family("exactly one vector, 3 to 8 % of the images elsewhere", holds=["complete"], open=_OPEN)
def copies_and_outliers(g: Generator, n: int, d: int) -> Drawn:
    x, share = np.tile(g.normal(size=d), (n, 1)), g.uniform(0.03, 0.08)
    thrown = g.permutation(n)[: round(share * n)]
    x[thrown] += g.normal(size=(len(thrown), d))
    return Drawn(Evidence(single(x)), about={"thrown": share})


# dimensional


def _rank(g: Generator, n: int, d: int, share: float, noise: float) -> Drawn:
    rank, alpha = round(share * d), g.uniform(0, 1)
    x = low_rank(g, n, d, rank, alpha)
    # The floor is `noise` of the average live direction: total variance d over `rank` directions.
    x += noise * np.sqrt(d / rank) * g.normal(size=(n, d))
    return Drawn(Evidence(single(offset(g, x, g.choice([0, 1, 3, 30])))), about={"rank": rank, "alpha": alpha})


def _attainable(n: int, d: int, share: float) -> bool:
    """Whether N images could show more directions than there are: at least twice as many, or what d allows."""
    return round(share * d) >= 1 and min(n - 1, d) >= 1.9 * round(share * d)


for _part in (16, 8, 4, 2):
    for _noise, _words in ((0.0, ""), (0.01, ", over a floor of .01 standard deviations")):
        family(
            f"d/{_part} directions of power law 0 to 1{_words}",
            name=f"rank-d/{_part}" + ("-floor" if _noise else ""),
            holds=["dimensional"],
            fits=partial(_attainable, share=1 / _part),
            huge=_part in (8, 2),
        )(partial(_rank, share=1 / _part, noise=_noise))


@family(
    "d/4 * 3 directions, the rest dead: figure 2 of Jing et al.",
    name="rank-3d/4",
    open={"dimensional": "a quarter of the directions is dead: between the two"},
    fits=lambda n, d: n > d,
)
def _three_quarters(g: Generator, n: int, d: int) -> Drawn:
    return _rank(g, n, d, 0.75, 0.0)


@family(
    "eigenvalues exp(-i / tau), tau = d/80 to d/40: half of the directions below 1e-8 of the first",
    holds=["dimensional"],
    fits=lambda n, d: d >= 64 and n > d,
)
def exponential(g: Generator, n: int, d: int) -> Drawn:
    tau = d / g.uniform(40, 80)
    return Drawn(Evidence(single(spectrum(g, n, np.exp(-np.arange(d) / tau)))), about={"tau": tau})


@family(
    "eigenvalues exp(-i / tau), tau = d/30 to d/15: a fifth to a half below 1e-6 of the first",
    open={"dimensional": "between the steepest healthy power law and directions that are dead"},
    fits=lambda n, d: d >= 64 and n > d,
)
def mild_exponential(g: Generator, n: int, d: int) -> Drawn:
    tau = d / g.uniform(15, 30)
    return Drawn(Evidence(single(spectrum(g, n, np.exp(-np.arange(d) / tau)))), about={"tau": tau})


@family(
    "a fall by e^-14 stretched over a tenth to a half of the directions, 40 to 60 % of them behind its middle",
    holds=["dimensional"],
    fits=lambda n, d: d >= 64 and n > 2 * d,
)
def slow_fall(g: Generator, n: int, d: int) -> Drawn:
    middle, width = g.uniform(0.4, 0.6), g.uniform(0.02, 0.1)
    logs = -14 / (1 + np.exp(-(np.arange(d) / d - middle) / width))
    return Drawn(Evidence(single(spectrum(g, n, np.exp(logs)))), about={"width": width})


@family(
    "d/8 directions over a floor of .03 to .05 standard deviations",
    holds=["dimensional"],
    fits=partial(_attainable, share=1 / 8),
)
def rank_high_floor(g: Generator, n: int, d: int) -> Drawn:
    noise = g.uniform(0.03, 0.05)
    drawn = _rank(g, n, d, 1 / 8, noise)
    return Drawn(drawn.evidence, about=dict(drawn.about) | {"noise": noise})


@family(
    "d/8 directions, 2 % of the images thrown 10 times as far along one line",
    holds=["dimensional"],
    fits=partial(_attainable, share=1 / 8),
)
def rank_outliers(g: Generator, n: int, d: int) -> Array:
    x = low_rank(g, n, d, d // 8) + 0.01 * g.normal(size=(n, d))
    x[: n // 50] += 10 * g.uniform(0.5, 1, (n // 50, 1)) * g.normal(size=d)
    return single(g.permutation(x))


@family(
    "40 to 80 % of the channels constant, the others ReLU features", holds=["dimensional"], fits=lambda n, d: n > 2 * d
)
def dead_channels(g: Generator, n: int, d: int) -> Drawn:
    x, dead = np.maximum(power(g, n, d, g.uniform(0, 1)), 0), g.uniform(0.4, 0.8)
    x[:, : round(dead * d)] = g.normal() * g.integers(0, 2)
    return Drawn(Evidence(single(x)), about={"dead": dead})


@family(
    "d/8 directions of rows as long as a t of 3 degrees of freedom makes them, over a floor of .01",
    holds=["dimensional"],
    fits=partial(_attainable, share=1 / 8),
)
def heavy_low_rank(g: Generator, n: int, d: int) -> Array:
    rank = d // 8
    x = np.concatenate([student(g, n, rank, 3), 0.01 * g.normal(size=(n, d - rank))], axis=1)
    return single(mixed(g, x))


@family(
    "ten loose classes inside d/8 directions, over a floor of .01",
    holds=["dimensional"],
    fits=lambda n, d: d >= 128 and _attainable(n, d, 1 / 8),
)
def classes_low_rank(g: Generator, n: int, d: int) -> Array:
    rank = d // 8
    x, _ = classes(g, n, rank, 10, g.uniform(0.5, 1))
    return single(mixed(g, np.concatenate([x, 0.01 * g.normal(size=(n, d - rank))], axis=1)))


@family(
    "positive codes of d/8 units through a linear layer, in float16",
    holds=["dimensional"],
    fits=partial(_attainable, share=1 / 8),
)
def bottleneck(g: Generator, n: int, d: int) -> Array:
    codes = np.maximum(g.normal(size=(n, d // 8)), 0)
    return np.asarray(codes @ g.normal(size=(d // 8, d)) / np.sqrt(d), dtype=np.float16)


# cluster


def _clusters(g: Generator, n: int, d: int, k: int, within: float, how: str) -> Drawn:
    shares = g.dirichlet(np.full(k, 5.0)) if how == "unequal" else None
    x, labels = classes(g, n, d, k, 0.0, shares)
    noise = student(g, n, d, 3) / np.sqrt(3) if how == "heavy" else power(g, n, d, 1.0 if how == "oblong" else 0.0)
    x += within * noise
    about = {"clusters": k, "within": within, "how": how}
    return Drawn(Evidence(single(x), labels=labels), about=about, open=_span(k, n, d))


def _span(k: int, n: int, d: int) -> dict[str, str]:
    """k points leave directions dead unless they span nearly all that there are."""
    return {"dimensional": SPAN} if k - 1 < 0.9 * min(n - 1, d) else {}


@family(
    "3 to 50 clusters (at least 10 images each), standard deviation .02 to .1 of the centres' inside",
    holds=["cluster"],
    huge=True,
)
def tight_clusters(g: Generator, n: int, d: int) -> Drawn:
    how = str(g.choice(["even", "unequal", "oblong", "heavy"]))
    return _clusters(g, n, d, int(g.integers(3, min(50, n // 10) + 1)), 10 ** g.uniform(-1.7, -1), how)


@family("two tight clusters", holds=["cluster"], open={"dimensional": SPAN})
def two_clusters(g: Generator, n: int, d: int) -> Drawn:
    return _clusters(g, n, d, 2, 10 ** g.uniform(-1.7, -1), "even")


@family(
    "3 to 5 families of 4 to 8 tight clusters, the families 1.5 to 5 times as far apart",
    holds=["cluster"],
    open={"dimensional": SPAN},
)
def nested_clusters(g: Generator, n: int, d: int) -> Drawn:
    families, k, apart, within = (
        int(g.integers(3, 6)),
        int(g.integers(4, min(8, n // 50) + 1)),
        g.uniform(1.5, 5),
        10 ** g.uniform(-1.7, -1),
    )
    names = g.integers(0, families * k, n)
    x = (apart * g.normal(size=(families, d)))[names // k] + g.normal(size=(families * k, d))[names]
    return Drawn(
        Evidence(single(x + within * g.normal(size=(n, d))), labels=names), about={"apart": apart, "within": within}
    )


@family("ten tight clusters, 3 to 8 % of the images spread between them", holds=["cluster"], open={"dimensional": SPAN})
def clusters_background(g: Generator, n: int, d: int) -> Drawn:
    x, _ = classes(g, n, d, 10, 0.05)
    loose = g.random(n) < g.uniform(0.03, 0.08)
    x[loose] = g.normal(size=(int(loose.sum()), d))
    return Drawn(Evidence(single(x)), about={"loose": float(loose.mean())})


@family("3 to 20 tight clusters about a mean 30 standard deviations long", holds=["cluster"])
def clusters_large_mean(g: Generator, n: int, d: int) -> Drawn:
    k = int(g.integers(3, 21))
    x, _ = classes(g, n, d, k, g.uniform(0.02, 0.1))
    return Drawn(Evidence(single(offset(g, x, 30))), about={"clusters": k}, open=_span(k, n, d))


@family("copies of 3 to 20 vectors", holds=["cluster"])
def few_points(g: Generator, n: int, d: int) -> Drawn:
    k = int(g.integers(3, 21))
    x, _ = classes(g, n, d, k, 0.0)
    return Drawn(Evidence(single(offset(g, x, g.uniform(0, 3)))), about={"points": k}, open=_span(k, n, d))


@family(
    "ten classes at the corners of a simplex, standard deviation .03 to .1 inside: neural collapse",
    holds=["cluster"],
    open={"dimensional": SPAN},
)
def neural_collapse(g: Generator, n: int, d: int) -> Drawn:
    corners = np.zeros((10, d))
    corners[:, :10] = np.eye(10) * np.sqrt(d)
    labels = g.integers(0, 10, n)
    x = mixed(g, (corners - corners.mean(0))[labels]) + 0.3 * g.uniform(0.1, 0.3) * g.normal(size=(n, d))
    return Drawn(Evidence(single(x), labels=labels))


@family("ten tight clusters, 1 % of the images far out", holds=["cluster"], open={"dimensional": SPAN})
def clusters_outliers(g: Generator, n: int, d: int) -> Array:
    x, _ = classes(g, n, d, 10, 0.05)
    x[: max(1, n // 100)] *= g.uniform(5, 50)
    return single(g.permutation(x))


# local

LOCAL_SIZES = ((1000, 64), (2000, 64), (2000, 256), (4000, 128), (10000, 512))
_FLAT = {"dimensional": "smooth curves and sheets have spectra that end", "cluster": "neighbours on a thread lie close"}


@family(
    "a curve through random Fourier features, up to N / 40 turns",
    holds=["local"],
    open=_FLAT,
    sizes=LOCAL_SIZES,
)
def curve(g: Generator, n: int, d: int) -> Drawn:
    turns = min(n, 2000) / g.uniform(40, 80)
    x = np.cos(2 * np.pi * g.random((n, 1)) @ g.uniform(0, turns, (1, d)) + g.uniform(0, 2 * np.pi, d))
    return Drawn(Evidence(single(x + 1e-3 * g.normal(size=(n, d)) / np.sqrt(d))), about={"turns": turns})


@family("a sheet through random Fourier features", holds=["local"], open=_FLAT, sizes=LOCAL_SIZES[1:])
def sheet(g: Generator, n: int, d: int) -> Drawn:
    scale = np.sqrt(min(n, 2000)) * g.uniform(0.15, 0.25)
    x = np.cos(g.random((n, 2)) @ g.normal(0, scale, (2, d)) * 2 + g.uniform(0, 2 * np.pi, d))
    return Drawn(Evidence(single(x + 1e-3 * g.normal(size=(n, d)) / np.sqrt(d))), about={"scale": scale})


@family(
    "segments of one half to twice the distance of their centres, 40 images and more on each",
    holds=["local"],
    open={"cluster": _FLAT["cluster"], "dimensional": "as many directions as segments"},
    sizes=LOCAL_SIZES,
)
def segments(g: Generator, n: int, d: int) -> Drawn:
    count, length = min(n, 2000) // 40, g.uniform(0.5, 2)
    names = g.integers(0, count, n)
    ways = g.normal(size=(count, d))
    x = g.normal(size=(count, d))[names] + length * g.uniform(-1, 1, (n, 1)) * ways[names]
    return Drawn(Evidence(single(x + 1e-3 * g.normal(size=(n, d)))), about={"segments": count, "length": length})
