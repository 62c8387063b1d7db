"""Families of token outputs [N, T, d]; the features are their means over positions."""

from __future__ import annotations

import numpy as np
from bench.families import Array, Drawn, family
from bench.families.shapes import Generator, power, single

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.token_sums import TokenSums

SIZES = ((64, 64), (256, 32), (256, 64), (400, 128))


def _tokens(g: Generator, n: int, d: int, image: float, position: float, rest: float) -> Array:
    """Image, position and rest of the given variances, 16 or 64 positions; rest shared by neighbouring positions in part."""
    t = 16 if n * d > 20000 else int(g.choice([16, 64]))
    own = g.normal(size=(n, t, d))
    own = (own + np.roll(own, 1, 1)) / np.sqrt(2)
    means = np.sqrt(image) * power(g, n, d, g.uniform(0, 0.7))
    return single(
        means[:, None] + np.sqrt(position) * g.normal(size=(t, d)) + np.sqrt(rest) * own + g.normal(0, 0.5, d)
    )


def _drawn(tokens: Array, **about: float) -> Drawn:
    return Drawn(Evidence(single(tokens.mean(1)), tokens=TokenSums.of(tokens)), about=about)


@family("image 15 to 50 %, position 5 to 40 %, the rest inside images", sizes=SIZES)
def healthy_tokens(g: Generator, n: int, d: int) -> Drawn:
    image, position = g.uniform(0.15, 0.5), g.uniform(0.05, 0.4)
    return _drawn(_tokens(g, n, d, image, position, 1 - image - position), image=image, position=position)


@family("position 60 to 80 %: strong position embeddings", sizes=SIZES)
def strong_positions(g: Generator, n: int, d: int) -> Drawn:
    position = g.uniform(0.6, 0.8)
    rest = 1 - position
    return _drawn(_tokens(g, n, d, rest / 2, position, rest / 2), position=position)


@family("image 60 to 80 %: coarse maps", sizes=SIZES)
def coarse_maps(g: Generator, n: int, d: int) -> Drawn:
    image = g.uniform(0.6, 0.8)
    return _drawn(_tokens(g, n, d, image, (1 - image) / 3, (1 - image) * 2 / 3), image=image)


@family("1 to 3 % of the tokens ten times as long, anywhere: ViTs without registers", sizes=SIZES)
def high_norm_tokens(g: Generator, n: int, d: int) -> Drawn:
    x = _tokens(g, n, d, 0.3, 0.2, 0.5)
    far = g.random(x.shape[:2]) < g.uniform(0.01, 0.03)
    x[far] = 10 * g.normal(size=d)[None] + x[far]
    return _drawn(single(x))


@family(
    "healthy tokens, one position of them a constant vector 30 times as long: an attention sink",
    sizes=SIZES,
    open={"token-position": "position does explain nearly all variance; a median over positions would not say so"},
)
def attention_sink(g: Generator, n: int, d: int) -> Drawn:
    x = _tokens(g, n, d, 0.3, 0.2, 0.5)
    x[:, 0] += 30 * g.normal(size=d)
    return _drawn(single(x))


@family(
    "tokens that position alone explains, up to noise of .03 to .12 standard deviations",
    holds=["token-position"],
    sizes=SIZES,
)
def position_only(g: Generator, n: int, d: int) -> Drawn:
    noise = 10 ** g.uniform(-1.5, -0.9)
    return _drawn(_tokens(g, n, d, noise**2 / 2, 1, noise**2 / 2), noise=noise)


@family("position 97 % now, and 97 % at the random start: nothing learnt", sizes=SIZES)
def position_from_start(g: Generator, n: int, d: int) -> Drawn:
    rest = g.uniform(0.01, 0.05)
    now, before = (_drawn(_tokens(g, n, d, rest / 2, 1 - rest, rest / 2)) for _ in range(2))
    return Drawn(now.evidence, before.evidence, {"rest": rest})


@family("position .6 at the start, all but .1 to 2 % now", holds=["token-position"], sizes=SIZES)
def position_against_start(g: Generator, n: int, d: int) -> Drawn:
    rest = 10 ** g.uniform(-3, -1.7)
    now, before = _drawn(_tokens(g, n, d, rest / 2, 1 - rest, rest / 2)), _drawn(_tokens(g, n, d, 0.2, 0.6, 0.2))
    return Drawn(now.evidence, before.evidence, {"rest": rest})


@family(
    "all tokens of an image alike, up to noise of .03 to .12 standard deviations", holds=["token-smooth"], sizes=SIZES
)
def smooth_maps(g: Generator, n: int, d: int) -> Drawn:
    noise = 10 ** g.uniform(-1.5, -0.9)
    return _drawn(_tokens(g, n, d, 1, noise**2 / 3, noise**2 * 2 / 3), noise=noise)


@family("as smooth at the random start: nothing learnt", sizes=SIZES)
def smooth_from_start(g: Generator, n: int, d: int) -> Drawn:
    inside = g.uniform(0.01, 0.05)
    now, before = (_drawn(_tokens(g, n, d, 1 - inside, inside / 2, inside / 2)) for _ in range(2))
    return Drawn(now.evidence, before.evidence, {"inside": inside})
