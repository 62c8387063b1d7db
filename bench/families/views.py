"""Families with augmented views [M, q, d], without a reference."""

from __future__ import annotations

import numpy as np
from bench.families import Array, Drawn, family
from bench.families.shapes import Generator, low_rank, offset, power, single, student, viewed

from collapselab.collapse.evidence import Evidence

SIZES = ((256, 64), (300, 256), (512, 128), (1000, 64), (2000, 256))


def _with_views(g: Generator, x: Array, ratio: float, how: str = "white") -> Drawn:
    """Features `x` and 2 to 8 views of at most 256 of them, between-image over within-view variance `ratio`."""
    q, m = int(g.choice([2, 4, 8])), min(len(x), 256)
    shape = (m, q, x.shape[1])
    noise = {
        "white": lambda: g.normal(size=shape),
        "coloured": lambda: power(g, m * q, x.shape[1], 0.7).reshape(shape),
        "uneven": lambda: g.normal(size=shape) * g.gamma(2, 0.5, (m, 1, 1)),
    }[how]()
    views = viewed(g, x[:m], ratio, q, noise)
    return Drawn(Evidence(single(x), views=single(views)), about={"ratio": ratio, "q": q, "noise": how})


def _how(g: Generator) -> str:
    return str(g.choice(["white", "coloured", "uneven"]))


@family("views of a signal 1 to 3 times their noise", sizes=SIZES)
def healthy_views(g: Generator, n: int, d: int) -> Drawn:
    return _with_views(g, offset(g, power(g, n, d, g.uniform(0, 1.2)), g.uniform(0, 3)), g.uniform(1, 3), _how(g))


@family("views of a signal .3 to 1 of their noise: strong augmentation", sizes=SIZES)
def noisy_views(g: Generator, n: int, d: int) -> Drawn:
    return _with_views(g, power(g, n, d, g.uniform(0, 1.2)), g.uniform(0.3, 1), _how(g))


@family("views that hardly differ: a signal 30 to 1,000 times their noise", sizes=SIZES)
def invariant_views(g: Generator, n: int, d: int) -> Drawn:
    return _with_views(g, power(g, n, d, g.uniform(0, 1.2)), 10 ** g.uniform(1.5, 3), _how(g))


@family("rows as long as a t of 3 degrees of freedom makes them, views 1 to 3", sizes=SIZES)
def heavy_views(g: Generator, n: int, d: int) -> Drawn:
    return _with_views(g, student(g, n, d, 3), g.uniform(1, 3), _how(g))


@family("3 % corrupt images 50 times as far out as the others, whose views (1 to 3) show them well apart", sizes=SIZES)
def corrupt_images(g: Generator, n: int, d: int) -> Drawn:
    x = power(g, n, d, g.uniform(0, 0.7))
    drawn = _with_views(g, x, g.uniform(1, 3))
    far, views = g.permutation(n)[: max(2, round(0.03 * n))], np.array(drawn.evidence.views)
    thrown = 50 * np.sqrt(d) * g.normal(size=(len(far), d)) / np.sqrt(d)
    x[far] += thrown
    for row, by in zip(far, thrown, strict=True):
        if row < len(views):
            views[row] += by
    return Drawn(Evidence(single(x), views=single(views)), about=drawn.about)


@family("views that say nothing about the image: noise only", holds=["nuisance"], sizes=SIZES)
def noise_only(g: Generator, n: int, d: int) -> Drawn:
    q = int(g.choice([2, 4, 8]))
    m = min(n, 256)
    views = power(g, m * q, d, g.uniform(0, 0.7)).reshape(m, q, d)
    return Drawn(Evidence(single(power(g, n, d, 0.3)), views=single(views)), about={"q": q})


@family("a signal of .3 to 2 % of the noise between views", holds=["nuisance"], sizes=SIZES)
def buried_signal(g: Generator, n: int, d: int) -> Drawn:
    return _with_views(g, power(g, n, d, g.uniform(0, 0.7)), 10 ** g.uniform(-2.5, -1.7), _how(g))


@family("d/8 directions, their views healthy (1 to 3)", holds=["dimensional"], sizes=SIZES)
def low_rank_views(g: Generator, n: int, d: int) -> Drawn:
    x = low_rank(g, n, d, d // 8, g.uniform(0, 0.7))
    q, m, ratio = int(g.choice([2, 4])), min(n, 256), g.uniform(1, 3)
    # The noise stays in the same directions: everything else is dead for views too.
    views = viewed(g, x[:m], ratio, q, np.stack([x[g.permutation(n)[:m]] for _ in range(q)], 1))
    return Drawn(Evidence(single(x), views=single(views)), about={"ratio": ratio})
