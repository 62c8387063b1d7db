"""Families that come with their own random initialisation (step 0) as the reference.

At the start a layer looks as untrained networks were seen to: a common offset that holds most of the second moment, a steep
spectrum, images .2 to 1.2 times as far apart as the views of one image.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from bench.families import Array, Drawn, family
from bench.families.shapes import Generator, low_rank, offset, power, single, viewed

from collapselab.collapse.evidence import Evidence

SIZES = ((256, 64), (300, 256), (512, 128), (1000, 64), (2000, 256))
POINT = {
    "dimensional": "what is left of the features may lie along a few directions",
    "nuisance": "what collapsed completely is not spread",
    "norm": "the point may be nearer to 0 than the start was",
    "local": "what is left is noise",
}


def _evidence(g: Generator, x: Array, ratio: float, q: int) -> Evidence:
    m = min(len(x), 128)
    return Evidence(single(x), views=single(viewed(g, x[:m], ratio, q)))


def _start(g: Generator, n: int, d: int) -> tuple[Evidence, float, int]:
    """(evidence, view ratio, q) of an untrained layer."""
    ratio, q = g.uniform(0.2, 1.2), int(g.choice([2, 4, 8]))
    x = offset(g, power(g, n, d, g.uniform(1, 2)), g.uniform(1, 6))
    return _evidence(g, x, ratio, q), ratio, q


def _learnt(g: Generator, n: int, d: int) -> Array:
    return offset(g, power(g, n, d, g.uniform(0.5, 1.5)), g.uniform(0, 2))


@family("trained well: views 2 to 5 times the start's ratio, size .3 to 3 of the start's", sizes=SIZES)
def learnt(g: Generator, n: int, d: int) -> Drawn:
    start, ratio, q = _start(g, n, d)
    return Drawn(_evidence(g, _learnt(g, n, d) * g.uniform(0.3, 3), ratio * g.uniform(2, 5), q), start)


@family("nothing learnt: another draw of the same layer", sizes=SIZES)
def nothing_learnt(g: Generator, n: int, d: int) -> Drawn:
    start, ratio, q = _start(g, n, d)
    x = np.asarray(start.sample, dtype=np.float64)
    return Drawn(_evidence(g, x + 0.2 * np.sqrt(x.var(0).mean()) * g.normal(size=x.shape), ratio, q), start)


@family(
    "the same features 3 to 50 times smaller", sizes=SIZES, open={"norm": "a mean square 10 to 2,500 times smaller"}
)
def smaller(g: Generator, n: int, d: int) -> Drawn:
    start, ratio, q = _start(g, n, d)
    x = np.asarray(start.sample, dtype=np.float64) / np.exp(g.uniform(np.log(3), np.log(50)))
    return Drawn(_evidence(g, x, ratio * g.uniform(1, 2), q), start)


@family("well trained, but the offset grew to 10 to 100 times the spread", sizes=SIZES)
def larger_offset(g: Generator, n: int, d: int) -> Drawn:
    start, ratio, q = _start(g, n, d)
    x = offset(g, power(g, n, d, g.uniform(0.5, 1.5)), g.uniform(10, 100))
    return Drawn(_evidence(g, x, ratio * g.uniform(2, 5), q), start)


@family("views far better than at the start, spread 10 to 50 times smaller: invariance learnt, size lost", sizes=SIZES)
def invariant_and_small(g: Generator, n: int, d: int) -> Drawn:
    start, ratio, q = _start(g, n, d)
    x = np.asarray(start.sample, dtype=np.float64)
    x = x.mean(0) + (x - x.mean(0)) / g.uniform(10, 50)
    return Drawn(_evidence(g, x, ratio * g.uniform(5, 20), q), start)


def _to_a_point(g: Generator, n: int, d: int) -> tuple[Array, Evidence, float, int]:
    """Features 50 to 1,000 times nearer to each other, about a mean as long as the start's."""
    start, ratio, q = _start(g, n, d)
    x = np.asarray(start.sample, dtype=np.float64)
    x = x.mean(0) + (power(g, n, d, g.uniform(0, 2)) * np.sqrt(x.var(0).mean())) / 10 ** g.uniform(1.7, 3)
    return x, start, ratio, q


@family(
    "one vector but for noise: spread 50 to 1,000 times smaller, views no further apart than at the start",
    holds=["complete"],
    open=POINT,
    sizes=SIZES,
)
def point(g: Generator, n: int, d: int) -> Drawn:
    x, start, ratio, q = _to_a_point(g, n, d)
    return Drawn(_evidence(g, x, ratio * g.uniform(0.2, 1), q), start)


@family(
    "the same, 3 to 8 % of the images thrown far out along one line: batch norm's mask",
    holds=["complete"],
    open=POINT | {"cluster": "the images thrown out gather in places of their own"},
    sizes=SIZES,
)
def masked_point(g: Generator, n: int, d: int) -> Drawn:
    x, start, ratio, q = _to_a_point(g, n, d)
    now = _evidence(g, x, ratio * g.uniform(0.2, 1), q)
    views, sample, share = np.array(now.views), np.array(now.sample), g.uniform(0.03, 0.08)
    line = g.normal(size=d) * np.sqrt(x.var(0).mean())
    for values in (sample, views.reshape(-1, d)):
        far = g.random(len(values)) < share
        values[far] += line * (10 ** g.uniform(1, 3, (int(far.sum()), 1)))
    return Drawn(Evidence(single(sample), views=single(views)), start, {"share": share})


def _of_cosines(now: Evidence, start: Evidence) -> Drawn:
    return Drawn(replace(now, directional=True), replace(start, directional=True))


@family(
    "one direction but for noise, of any length, under a loss of cosines: directions 30 to 1,000 times nearer than at the start",
    holds=["complete"],
    open=POINT,
    sizes=SIZES,
)
def one_direction(g: Generator, n: int, d: int) -> Drawn:
    x, start, ratio, q = _to_a_point(g, n, d)
    now = _evidence(g, x, ratio * g.uniform(0.2, 1), q)
    assert now.views is not None
    m = len(now.views)
    lengths = g.uniform(1, 30) * np.exp(g.uniform(0.1, 1) * g.normal(size=(n, 1)))
    views = np.asarray(now.views, dtype=np.float64) * lengths[:m, None]
    return _of_cosines(Evidence(single(x * lengths), views=single(views)), start)


@family("trained well under a loss of cosines, .1 to 30 times as long as at the start", sizes=SIZES)
def learnt_directions(g: Generator, n: int, d: int) -> Drawn:
    start, ratio, q = _start(g, n, d)
    now = _evidence(g, _learnt(g, n, d) * 10 ** g.uniform(-0.5, 1.5), ratio * g.uniform(2, 5), q)
    return _of_cosines(now, start)


@family("nothing learnt under a loss of cosines: another draw of the same layer", sizes=SIZES)
def nothing_learnt_of_directions(g: Generator, n: int, d: int) -> Drawn:
    drawn = nothing_learnt(g, n, d)
    assert drawn.start is not None
    return _of_cosines(drawn.evidence, drawn.start)


@family("d/8 directions where the start had all", holds=["dimensional"], sizes=SIZES)
def rank_lost(g: Generator, n: int, d: int) -> Drawn:
    start, ratio, q = _start(g, n, d)
    x = offset(g, low_rank(g, n, d, d // 8, g.uniform(0, 1)), g.uniform(0, 2))
    m = min(n, 128)
    noise = np.stack([low_rank(g, m, d, d // 8) for _ in range(q)], 1)
    views = viewed(g, x[:m], ratio * g.uniform(1, 4), q, noise)
    return Drawn(Evidence(single(x), views=single(views)), start)


@family("d/4 directions now and at the start: a bottleneck", sizes=SIZES)
def bottleneck_from_start(g: Generator, n: int, d: int) -> Drawn:
    way = g.normal(size=(d // 4, d)) / np.sqrt(d)
    draws = [single(offset(g, power(g, n, d // 4, g.uniform(0.5, 1)), 1) @ way) for _ in range(2)]
    return Drawn(Evidence(draws[0]), Evidence(draws[1]))


@family("outputs 200 to 100,000 times shorter than at the start", holds=["norm"], sizes=SIZES)
def shrunk(g: Generator, n: int, d: int) -> Drawn:
    x = _learnt(g, n, d)
    start = Evidence(single(_learnt(g, n, d)))
    return Drawn(Evidence(single(x / np.exp(g.uniform(np.log(200), np.log(1e5))))), start)


@family("outputs 2,000 to 1,000,000 times longer than at the start", holds=["norm"], sizes=SIZES)
def blown_up(g: Generator, n: int, d: int) -> Drawn:
    start = Evidence(single(_learnt(g, n, d)))
    return Drawn(Evidence(single(_learnt(g, n, d) * np.exp(g.uniform(np.log(2000), np.log(1e6))))), start)
