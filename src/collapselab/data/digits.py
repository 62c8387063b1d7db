"""scikit-learn's handwritten digits on a 32 x 32 canvas: real strokes, known factors, no download."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform
from sklearn.datasets import load_digits

from collapselab.config.data import Digits
from collapselab.data.dataset import Split, stratified
from collapselab.randomness import generator

CANVAS = 32
CLASSES = [str(digit) for digit in range(10)]
ORIGIN = (
    "scikit-learn's 1,797 handwritten digits (UCI Optical Recognition of Handwritten Digits), drawn at random places"
)
# Shares of the 1,797 originals; a digit that one split draws from is never seen in another.
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.15
FLOATS = ("x", "y", "size", "angle", "brightness", "stroke_hue", "background_hue")


def make(config: Digits) -> dict[str, Split]:
    """The three splits of the study's digits."""
    originals = load_digits()
    strokes, labels = originals.images / 16.0, originals.target.astype(np.int64)
    rng = generator(config.seed, "digits/split")
    test, rest = stratified(labels, round(TEST_SHARE * len(labels)), rng)
    validation, train = stratified(labels[rest], round(VALIDATION_SHARE * len(labels)), rng)
    pools = {"train": rest[train], "validation": rest[validation], "test": test}
    counts = {"train": config.train, "validation": config.validation, "test": config.test}
    return {name: _draw(config, strokes, labels, pools[name], counts[name], name) for name in pools}


def _draw(
    config: Digits,
    strokes: NDArray[np.float64],
    labels: NDArray[np.int64],
    pool: NDArray[np.int64],
    count: int,
    name: str,
) -> Split:
    rng = generator(config.seed, f"digits/{name}")
    # Each original appears count / len(pool) times, up to one: no digit is favoured by chance.
    source = pool[rng.permutation(np.arange(count) % len(pool))]
    factors = _factors(config, count, rng)
    shapes = np.stack([_place(strokes[row], factors, i) for i, row in enumerate(source)])
    canvas = (
        shapes[:, None] * _colour(factors["stroke_hue"])[..., None, None] * factors["brightness"][:, None, None, None]
    )
    if config.colours:
        canvas += (1 - shapes[:, None]) * 0.35 * _colour(factors["background_hue"])[..., None, None]
    canvas += config.noise * rng.standard_normal(canvas.shape)
    images = np.clip(np.rint(canvas * 255), 0, 255).astype(np.uint8)
    recorded = FLOATS if config.colours else FLOATS[:5]
    return Split(
        images,
        labels[source],
        {"original": source} | {factor: factors[factor].astype(np.float32) for factor in recorded},
    )


def _factors(config: Digits, count: int, rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    return {
        "x": rng.uniform(-config.shift, config.shift, count),
        "y": rng.uniform(-config.shift, config.shift, count),
        "size": rng.uniform(*config.size, count),
        "angle": rng.uniform(-config.angle, config.angle, count),
        "brightness": rng.uniform(*config.brightness, count),
        "stroke_hue": rng.random(count) if config.colours else np.full(count, -1.0),
        "background_hue": rng.random(count) if config.colours else np.full(count, -1.0),
    }


def _place(stroke: NDArray[np.float64], factors: dict[str, NDArray[np.float64]], i: int) -> NDArray[np.float64]:
    """One 8 x 8 digit on the canvas, by the inverse map from canvas pixels to the digit's own grid (linear interpolation)."""
    scale = len(stroke) / factors["size"][i]
    cosine, sine = np.cos(np.deg2rad(factors["angle"][i])), np.sin(np.deg2rad(factors["angle"][i]))
    matrix = scale * np.array([[cosine, sine], [-sine, cosine]])
    middle = (CANVAS - 1) / 2 + np.array([factors["y"][i], factors["x"][i]])
    offset = (len(stroke) - 1) / 2 - matrix @ middle
    # Mode "constant" would cut the border strokes off where their pixels' centres lie, a row at a shift of 0.01 pixels.
    drawn = affine_transform(stroke, matrix, offset, output_shape=(CANVAS, CANVAS), order=1, mode="grid-constant")
    return np.clip(drawn, 0, 1)


def _colour(hue: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fully saturated RGB of a hue in turns, [N, 3]; white where the hue is negative (colours switched off)."""
    phase = (hue[:, None] + np.array([0, 2 / 3, 1 / 3])) % 1
    colour = np.clip(np.abs(6 * phase - 3) - 1, 0, 1)
    return np.where(hue[:, None] < 0, 1.0, colour)
