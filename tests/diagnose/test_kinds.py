"""Each kind, named by the command from a small file that has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from tests.diagnose.conftest import RNG, Array, Run, flat, gaussian, views_of

Npy = Callable[[str, Array], Path]


def softmax(logits: Array) -> Array:
    p = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(p / p.sum(1, keepdims=True))


def named(run: Run, *arguments: object) -> list[str]:
    found = run("diagnose", *arguments, "--json").json
    held = [kind for kind, finding in found["kinds"].items() if finding["severity"] >= 0.5]
    assert sorted(held) == sorted(found["verdict"])
    return list(found["verdict"])


def test_healthy_features_have_no_verdict(run: Run, npy: Npy) -> None:
    assert named(run, npy("features", gaussian(800, 24))) == []


def test_one_vector_for_all_is_complete(run: Run, npy: Npy) -> None:
    assert "complete" in named(run, npy("features", np.full((300, 16), 0.7, dtype=np.float32)))


def test_complete_against_a_reference_with_views(run: Run, npy: Npy, tmp_path: Path) -> None:
    start = gaussian(300, 16)
    np.savez(tmp_path / "start.npz", features=start + 0.5, views=views_of(start, 1.0) + np.float32(0.5))
    lost = (0.01 * gaussian(300, 16, seed=5) + 1).astype(np.float32)
    views = npy("views", views_of(lost, 0.02))
    assert "complete" in named(run, npy("lost", lost), "--views", views, "--reference", tmp_path / "start.npz")


def test_norm(run: Run, npy: Npy) -> None:
    start, shrunk = npy("start", gaussian()), npy("shrunk", 1e-4 * gaussian())
    assert named(run, shrunk, "--reference", start) == ["norm"]


def test_dimensional(run: Run, npy: Npy) -> None:
    assert named(run, npy("features", flat(1000, 24, 64))) == ["dimensional"]


def test_cluster(run: Run, npy: Npy) -> None:
    centres = 5 * gaussian(40, 32)
    features = centres[np.arange(800) % 40] + 0.02 * gaussian(800, 32, seed=1)
    assert "cluster" in named(run, npy("features", features))


def test_one_hot_uniform_and_prototype_from_probabilities(run: Run, npy: Npy) -> None:
    features = npy("features", gaussian(400, 16))
    logits = gaussian(400, 64, seed=7)
    same, nothing, few = logits.copy(), 1e-4 * logits, np.full((400, 64), -30.0)
    same[:, 3] += 60
    few[np.arange(400), np.arange(400) % 2] = 30
    for kind, raw in (("one-hot", same), ("uniform", nothing), ("prototype", few)):
        assert named(run, features, "--probabilities", npy(kind, softmax(raw))) == [kind]


def test_duplicated_prototypes_from_their_weights(run: Run, npy: Npy) -> None:
    features, p = npy("features", gaussian(400, 16)), npy("p", softmax(3 * gaussian(400, 32, seed=7)))
    copies = npy("copies", np.repeat(gaussian(4, 16, seed=8), 8, axis=0))
    assert named(run, features, "--probabilities", p) == []
    assert named(run, features, "--probabilities", p, "--prototypes", copies) == ["prototype"]


def test_tokens_by_position_and_smooth(run: Run, npy: Npy) -> None:
    features = npy("features", gaussian(400, 16))
    by_position = gaussian(9, 16)[None] + 0.01 * RNG(3).standard_normal((60, 9, 16))
    smooth = gaussian(60, 16)[:, None] + 0.01 * RNG(3).standard_normal((60, 9, 16))
    assert named(run, features, "--tokens", npy("position", by_position)) == ["token-position"]
    assert named(run, features, "--tokens", npy("smooth", smooth)) == ["token-smooth"]


def test_local(run: Run, npy: Npy) -> None:
    # A closed thread that winds through all directions: whole globally, one-dimensional around each image.
    t = np.linspace(0, 2 * np.pi, 1500, endpoint=False)[:, None]
    waves = np.arange(1, 17)
    thread = np.concatenate([np.cos(waves * t), np.sin(waves * t)], axis=1)
    assert named(run, npy("features", thread)) == ["local"]


def test_nuisance(run: Run, npy: Npy) -> None:
    signal = 0.05 * gaussian(300, 16)
    views = views_of(signal, 1.0)
    assert named(run, npy("features", views[:, 0]), "--views", npy("views", views)) == ["nuisance"]
