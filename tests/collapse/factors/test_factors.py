"""Factors recovered from features that hold them linearly, non-linearly, or not at all."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from collapselab.collapse.factors.decoding import Decoded, Targets, decode
from collapselab.collapse.factors.verdicts import judge, of_features, varied

N, M, D = 1500, 500, 32
BRANCH = {"crop": None, "flip": 0.0, "rotate": 0.0, "jitter": None, "grayscale": 0.0, "erase": None}
Features = NDArray[np.float64]


def draw(count: int, seed: int) -> dict[str, NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    return {
        "x": rng.uniform(-9, 9, count),
        "brightness": rng.uniform(0.6, 1, count),
        "stroke_hue": rng.random(count),
        "original": np.arange(count) + 10_000.0 * seed,
        "label": rng.integers(0, 3, count),
    }


TRAIN, TEST = draw(N, 1), draw(M, 2)
NAMES = ("x", "brightness", "stroke_hue", "original")
TARGETS = Targets.of(
    {name: TRAIN[name] for name in NAMES}, {name: TEST[name] for name in NAMES}, TRAIN["label"], TEST["label"]
)


def mix(*signals: Features, noise: float = 0.1) -> Features:
    """Signals [n] in random directions of D dimensions, each with the same variance, and noise."""
    rng = np.random.default_rng(3)
    directions = [rng.standard_normal(D) for _ in signals]
    parts = [np.outer(s / s.std(), direction) for s, direction in zip(signals, directions, strict=True)]
    count = len(signals[0])
    return np.asarray(sum(parts) + noise * np.random.default_rng(count).standard_normal((count, D)))


def holding(*names: str, noise: float = 0.1) -> tuple[Features, Features]:
    """Features of both splits that hold the named factors linearly; the hue as a circle, the class one-hot."""

    def signals(split: dict[str, NDArray[np.float64]]) -> list[Features]:
        found: list[Features] = []
        for name in names:
            if name == "stroke_hue":
                found += [np.cos(2 * np.pi * split[name]), np.sin(2 * np.pi * split[name])]
            elif name == "label":
                found += [(split[name] == c).astype(float) for c in range(3)]
            else:
                found.append(split[name])
        return found

    return mix(*signals(TRAIN), noise=noise), mix(*signals(TEST), noise=noise)


def read(features: tuple[Features, Features]) -> dict[str, Decoded]:
    return decode(*features, TARGETS)


def test_linear_factors_are_read_and_absent_ones_are_not() -> None:
    found = read(holding("x", "stroke_hue", "label"))
    assert found["x"].r2 > 0.99 and found["x"].by == "ridge"
    assert found["stroke_hue"].r2 > 0.99 and found["class"].r2 > 0.98
    assert abs(found["brightness"].r2) < 0.05
    assert "original" not in found


def test_r2_of_a_noisy_factor_is_its_share_of_variance() -> None:
    # One signal of variance 1 along `a` in noise of variance v: the best predictor explains |a|^2 / (|a|^2 + v).
    length = float((np.random.default_rng(3).standard_normal(D) ** 2).sum())
    found = read(holding("x", noise=float(np.sqrt(length))))
    assert found["x"].ridge == pytest.approx(0.5, abs=0.06)


def test_a_factor_coded_as_a_curve_is_read_by_neighbours() -> None:
    def curved(split: dict[str, NDArray[np.float64]]) -> Features:
        turn = split["brightness"] * 30  # two turns of a circle over its range: no linear read-out
        return mix(np.cos(turn), np.sin(turn), split["brightness"] ** 2 * 0 + np.sin(2.3 * turn), noise=0.02)

    found = read((curved(TRAIN), curved(TEST)))["brightness"]
    assert found.ridge < 0.6 < 0.95 < found.neighbours
    assert found.by == "neighbours" and found.r2 == found.neighbours


def test_constant_features_hold_nothing() -> None:
    found = read((np.ones((N, D)), np.ones((M, D))))
    assert all(-0.05 < decoded.r2 < 1e-3 for decoded in found.values())


def test_wide_features_are_reduced_and_still_read() -> None:
    rng = np.random.default_rng(5)
    widen = rng.standard_normal((D, 400)) / np.sqrt(D)
    found = read(tuple(part @ widen for part in holding("x", "label")))  # type: ignore[arg-type]
    assert found["x"].r2 > 0.98


def test_outliers_do_not_ruin_the_others() -> None:
    train, test = holding("x")
    test = test.copy()
    test[0] *= 1e6
    assert read((train, test))["x"].r2 > 0.9


def test_images_of_one_original_stay_on_one_side_of_the_choice() -> None:
    # Features that name the original and nothing else: neighbours would seem perfect if copies stood on both sides.
    rng = np.random.default_rng(6)
    original = np.repeat(np.arange(300), 5)
    code, x = rng.standard_normal((300, 8)), rng.uniform(-9, 9, 300)
    asked = rng.standard_normal((200, 8))
    targets = Targets.of(
        {"x": x[original], "original": original},
        {"x": rng.uniform(-9, 9, 200), "original": 1000 + np.arange(200)},
        original % 2,
        np.arange(200) % 2,
    )
    found = decode(code[original], asked, targets)["x"]
    assert found.by == "ridge" and found.r2 < 0.05


def verdicts(initial: tuple[Features, Features], final: tuple[Features, Features], **branch: object) -> dict[str, str]:
    found = judge({"z": (read(initial), read(final))}, TARGETS, {"view": BRANCH | branch})
    return {name: str(entry["verdict"]) for name, entry in found["z"].items()}


def test_kept_lost_made_invariant_and_never_there() -> None:
    before, after = holding("x", "brightness", "label"), holding("x", "label")
    quiet = {"x": "kept", "brightness": "lost", "stroke_hue": "never there", "class": "kept"}
    assert verdicts(before, after) == quiet
    jitter = {"probability": 0.8, "brightness": 0.5, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
    assert verdicts(before, after, jitter=jitter) == quiet | {"brightness": "made invariant"}
    assert verdicts(before, after, jitter=jitter | {"probability": 0.0}) == quiet
    # What the augmentation varies may still be kept, or be learnt.
    assert verdicts(after, before, jitter=jitter)["brightness"] == "kept"


def test_a_layer_that_lost_its_class_is_not_invariant_but_empty() -> None:
    nothing = np.random.default_rng(7).standard_normal((N, D)), np.random.default_rng(8).standard_normal((M, D))
    found = verdicts(holding("x", "label"), nothing, crop={"scale": [0.4, 1.0]})
    assert found["x"] == found["class"] == "lost"


def test_no_fall_beyond_chance_is_no_loss() -> None:
    before = holding("x", "label", noise=0.5)
    assert verdicts(before, holding("x", "label", noise=0.6))["x"] == "kept"


def test_which_augmentation_varies_what() -> None:
    student = BRANCH | {"crop": {"scale": [0.8, 1.0]}, "flip": 0.5, "rotate": 15.0, "grayscale": 0.2}
    found = varied({"student": student, "teacher": BRANCH})
    assert found["x"] == ["crop", "flip"] and found["y"] == found["size"] == ["crop"]
    assert found["angle"] == ["flip", "rotate"] and found["stroke_hue"] == ["grayscale"]
    assert "brightness" not in found
    assert varied({"view": BRANCH}) == {}


def test_a_cells_features_give_plain_json_at_a_second_a_cell() -> None:
    def arrays(features: tuple[Features, Features]) -> dict[str, NDArray[np.float32]]:
        return {
            f"{split}/{layer}": part.astype(np.float32)
            for split, part in zip(("train", "test"), features, strict=True)
            for layer in ("representation", "embedding")
        } | {"train/labels": TRAIN["label"], "test/labels": TEST["label"]}

    start = time.process_time()
    with threadpool_limits(1):
        found = of_features(
            arrays(holding("x", "label")), arrays(holding("x", "label")), TARGETS, {"view": BRANCH}, read(holding("x"))
        )
    assert time.process_time() - start < 5
    assert set(found) == {"representation", "embedding"}
    entry = found["embedding"]["x"]
    assert entry["verdict"] == "kept" and entry["change"] == 0.0 and entry["pixels"] > 0.9
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_an_angle_is_a_circle_only_where_images_turn_all_the_way() -> None:
    rng = np.random.default_rng(10)
    labels = np.arange(100) % 2
    for reach, columns in ((15.0, 1), (180.0, 2)):
        angle = {"angle": rng.uniform(-reach, reach, 100)}
        assert Targets.of(angle, angle, labels, labels).train.shape[1] == columns + 2


def test_images_without_labels_or_factors_have_nothing_to_decode() -> None:
    labels = np.zeros(20, dtype=np.int64)
    targets = Targets.of({}, {}, labels, labels)
    assert targets.columns == {} and targets.train.shape == (20, 0)
