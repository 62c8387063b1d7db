"""Feature streams, step by step: healthy ones that change as training changes them, and ones in which a collapse is planted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collapselab.collapse.evidence import Evidence
from collapselab.randomness import generator

Float = NDArray[np.float64]
CLASSES, PROTOTYPES = 10, 64
END = 1e-3  # what is left of a standard deviation that a collapse takes away


@dataclass
class State:
    """How features are drawn at one step; changes below move it.

    alpha: the spectrum is i^-alpha. offset: of a common mean, in spreads. scale: of everything. turn: of the basis, 0 to 1.
    content, view, within: factors on what images, their views, and images of one class differ by.
    outliers: factor on 3 % of the images, 0 for none.
    left: factors on the directions, [d]. share, remnant: images that collapse, and the factor on their distance from the mean.
    sharpness, focus, allowed: factor on the logits, logit added to one prototype, share of prototypes that may be used.
    """

    alpha: float
    offset: float
    left: Float
    content: float = 1.0
    view: float = 1.0
    within: float = 1.0
    scale: float = 1.0
    turn: float = 0.0
    outliers: float = 0.0
    share: float = 1.0
    remnant: float = 1.0
    sharpness: float = 1.0
    focus: float = 0.0
    allowed: float = 1.0


class Stream:
    """One encoder's life: what it draws its batches of `images` from in `d` dimensions, chosen by name and seed."""

    def __init__(self, name: str, seed: int, images: int, d: int) -> None:
        self.name, self.seed, self.images, self.d = name, seed, images, d
        rng = generator(seed, f"bench/stream/{name}")
        self.alpha, self.offset = rng.uniform(0.5, 1.3), rng.uniform(0.0, 3.0)
        self.rectified, self.tailed = bool(rng.random() < 0.3), bool(rng.random() < 0.3)
        self.basis, self.other, self.dying = (np.linalg.qr(rng.standard_normal((d, d)))[0] for _ in range(3))
        self.middle = rng.standard_normal(d)
        self.means = rng.standard_normal((CLASSES, d)) * rng.uniform(0.3, 1.0)
        self.head = rng.standard_normal((d, PROTOTYPES)) / math.sqrt(d)
        self.noise = rng.uniform(0.4, 0.8)  # standard deviation between views over that between images

    def start(self) -> State:
        return State(self.alpha, self.offset, np.ones(self.d))

    def draw(self, state: State, step: int, softmax: bool = True) -> Evidence:
        """One batch of augmented images, as a monitor meets them: a view [images, d], two more of each, softmax [images, 64]."""
        rng = generator(self.seed, f"bench/batch/{self.name}", step)
        own = rng.standard_normal((self.images, self.d))
        if self.tailed:
            own *= np.sqrt(5 / rng.chisquare(5, (self.images, 1)))
        content = state.content * (self.means[rng.integers(0, CLASSES, self.images)] + state.within * own)
        jitter = self.noise * state.view * rng.standard_normal((3, self.images, self.d))
        held, thrown = rng.random(self.images) < state.share, rng.random(self.images) < 0.03
        views = self._embed(content + jitter, state)
        middle = views.mean((0, 1))
        away = (views - middle) @ (self.dying * state.left) @ self.dying.T
        away[:, held] *= state.remnant
        if state.outliers:
            away[:, thrown] *= state.outliers
        views = (state.scale * (middle + away)).astype(np.float32)
        p = _softmax(away[0] @ self.head, state).astype(np.float32) if softmax else None
        return Evidence(views[0], views=views[1:].transpose(1, 0, 2), probabilities=p)

    def _embed(self, z: Float, state: State) -> Float:
        """[..., d] white -> the spectrum i^-alpha in the stream's basis, of total variance d before the rectifier."""
        spread = np.arange(1, self.d + 1) ** (-state.alpha / 2)
        spread *= math.sqrt(self.d / (spread**2).sum())
        basis = (
            self.basis if state.turn == 0 else np.linalg.qr((1 - state.turn) * self.basis + state.turn * self.other)[0]
        )
        out = z * spread @ basis
        return np.asarray((np.maximum(out, 0) if self.rectified else out) + self.middle * state.offset)


def _softmax(logits: Float, state: State) -> Float:
    logits = 3 * state.sharpness * logits
    logits[:, 0] += state.focus
    logits[:, max(5, round(state.allowed * PROTOTYPES)) :] -= 60 * (1 - state.allowed)
    p = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(p / p.sum(1, keepdims=True))


Change = Callable[[State, float, Stream], None]


def _fading(p: float, end: float = END) -> float:
    """From 1 to `end`, geometrically."""
    return float(end**p)


def _noise(state: State, p: float, stream: Stream) -> None: ...


def _scaled(end: float) -> Change:
    def change(state: State, p: float, stream: Stream) -> None:
        state.scale = _fading(p, end)

    return change


def _drift(state: State, p: float, stream: Stream) -> None:
    state.offset += 20 * p


def _rotating(state: State, p: float, stream: Stream) -> None:
    state.turn = p


def _steepening(state: State, p: float, stream: Stream) -> None:
    state.alpha += p * (1.8 - state.alpha)


def _learning(state: State, p: float, stream: Stream) -> None:
    early = min(1.0, 4 * p)
    state.alpha, state.offset = 0.2 + early * state.alpha, state.offset + 3 * (1 - early)
    state.content = 0.4 + 0.6 * early
    state.scale = 1 + 2 * math.sin(math.pi * early)


def _sharpening(state: State, p: float, stream: Stream) -> None:
    state.sharpness = 10**p


def _clustering(state: State, p: float, stream: Stream) -> None:
    state.within = 2**-p


def _stronger_views(state: State, p: float, stream: Stream) -> None:
    state.view = 1.5**p


def _outliers(state: State, p: float, stream: Stream) -> None:
    state.outliers = 1 + 9 * p


def _everything(state: State, p: float, stream: Stream) -> None:
    for change in (_learning, _drift, _sharpening, _clustering, _stronger_views, _outliers):
        change(state, p, stream)
    state.turn, state.scale = p, state.scale * 10**p


NULLS: dict[str, Change] = {
    "noise alone": _noise,
    "drift of the mean, to 20 times the spread": _drift,
    "growth of the norm, 20-fold": _scaled(20),
    "shrinking of the norm, 5-fold": _scaled(1 / 5),
    "rotation": _rotating,
    "spectrum steepening to i^-1.8": _steepening,
    "first learning: spectrum, mean, views and size change": _learning,
    "sharpening softmax, 10-fold": _sharpening,
    "classes tightening, half as wide": _clustering,
    "stronger augmentation, 1.5-fold": _stronger_views,
    "outliers growing 10-fold, 3 % of the images": _outliers,
    "all of these at once": _everything,
}


def _complete(share: float, end: float = END) -> Change:
    def change(state: State, p: float, stream: Stream) -> None:
        state.share, state.remnant = share, _fading(p, end)

    return change


def _dimensional(left: float, end: float = END) -> Change:
    def change(state: State, p: float, stream: Stream) -> None:
        state.left = np.where(np.arange(stream.d) < left * stream.d, 1.0, _fading(p, end))

    return change


def _cluster(end: float) -> Change:
    def change(state: State, p: float, stream: Stream) -> None:
        state.within = state.view = _fading(p, end)

    return change


def _nuisance(end: float) -> Change:
    def change(state: State, p: float, stream: Stream) -> None:
        state.content = _fading(p, end)

    return change


def _one_hot(state: State, p: float, stream: Stream) -> None:
    state.focus = 60 * p


def _uniform(state: State, p: float, stream: Stream) -> None:
    state.sharpness = _fading(p)


def _few_prototypes(state: State, p: float, stream: Stream) -> None:
    state.allowed = 1 - p


# name -> (kind, what changes)
PLANTED: dict[str, tuple[str, Change]] = {
    "all images, to one point": ("complete", _complete(1.0)),
    "three quarters of the images, to one point": ("complete", _complete(0.75)),
    "half of the images, to one point": ("complete", _complete(0.5)),
    "all but four in a hundred directions": ("dimensional", _dimensional(0.04)),
    "half of the directions": ("dimensional", _dimensional(0.5)),
    "ten tight classes": ("cluster", _cluster(0.02)),
    "norm vanishes": ("norm", _scaled(END)),
    "norm explodes": ("norm", _scaled(1 / END)),
    "only the augmentation is left": ("nuisance", _nuisance(0.05)),
    "one prototype for everything": ("one-hot", _one_hot),
    "softmax goes flat": ("uniform", _uniform),
    "five prototypes are left": ("prototype", _few_prototypes),
}
# Weaker ones, to see where recall ends.
WEAK: dict[str, tuple[str, Change]] = {
    "all images, a tenth of the distance left": ("complete", _complete(1.0, 0.1)),
    "all images, a fiftieth left": ("complete", _complete(1.0, 0.02)),
    "two fifths of the images, to one point": ("complete", _complete(0.4)),
    "a quarter of the images, to one point": ("complete", _complete(0.25)),
    "half of the directions, a third of the deviation left": ("dimensional", _dimensional(0.5, 1 / 3)),
    "half of the directions, a tenth left": ("dimensional", _dimensional(0.5, 0.1)),
    "a quarter of the directions, a hundredth left": ("dimensional", _dimensional(0.75, 0.01)),
    "a tenth of the directions, a hundredth left": ("dimensional", _dimensional(0.9, 0.01)),
    "ten classes, a fifth as wide": ("cluster", _cluster(0.2)),
    "ten classes, a twentieth as wide": ("cluster", _cluster(0.05)),
    "a third of what images differ by": ("nuisance", _nuisance(1 / 3)),
    "an eighth of what images differ by": ("nuisance", _nuisance(1 / 8)),
}
