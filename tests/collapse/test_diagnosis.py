"""Verdicts on features whose kind of collapse is known by construction."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import entropy

from collapselab.collapse.diagnosis import KINDS, Diagnosis, diagnose
from collapselab.collapse.registry import Evidence
from collapselab.collapse.snapshot import Snapshot

RNG = np.random.default_rng


def layer(between: float, within: float, offset: float = 0.0, seed: int = 0) -> Evidence:
    """Embeddings of 200 images with the given standard deviations between images and between views."""
    images = between * RNG(seed).standard_normal((200, 1, 16)) + offset
    views = images + within * RNG(seed + 1).standard_normal((200, 4, 16))
    return Evidence(sample=images[:, 0], views=views)


def head(probabilities: NDArray[np.float64]) -> Evidence:
    sample = RNG(0).standard_normal((len(probabilities), 4))
    return Evidence(sample=sample, probabilities=probabilities, entropies=entropy(probabilities, axis=1))


def softmax(scale: float, shift: NDArray[np.float64] | float = 0.0, k: int = 32) -> NDArray[np.float64]:
    logits = scale * RNG(0).standard_normal((200, k)) + shift
    p: NDArray[np.float64] = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def judged(now: Evidence, start: Evidence, other: Evidence | None = None) -> Diagnosis:
    def snapshot(step: int, evidence: Evidence) -> Snapshot:
        representation = other or layer(1.0, 1.0)
        return Snapshot(
            step, "representation", ("embedding",), {"representation": representation, "embedding": evidence}
        )

    return diagnose(snapshot(100, now), snapshot(0, start))


def test_spread_that_fell_to_view_noise_is_complete_collapse() -> None:
    found = judged(now=layer(0.01, 0.02, offset=1.0), start=layer(1.0, 1.0, offset=0.5))
    assert found.verdict == ["complete"]
    assert found.verdicts == {"representation": [], "embedding": ["complete"]}
    assert found.kinds["embedding"]["complete"].severity > 0.9
    assert "at embedding" in found.sentence and "initialisation" in found.sentence


def test_a_complete_collapse_behind_outliers_is_seen() -> None:
    collapsed = layer(0.01, 0.02, offset=1.0)
    assert collapsed.views is not None
    thrown = 50 * RNG(5).standard_normal((10, 16))
    sample, views = collapsed.sample.copy(), collapsed.views.copy()
    sample[:10] += thrown
    views[:10] += thrown[:, None]
    assert judged(Evidence(sample=sample, views=views), layer(1.0, 1.0, offset=0.5)).verdict == ["complete"]


def test_a_constant_is_complete_without_any_reference() -> None:
    constant = Evidence(sample=np.ones((50, 8)))
    snapshot = Snapshot(10, "representation", ("embedding",), {"representation": constant, "embedding": constant})
    assert diagnose(snapshot).verdict == ["complete"]


@pytest.mark.parametrize(
    ("now", "start"),
    [
        (layer(1.0, 0.5), layer(0.3, 0.5, offset=2.0)),  # learnt
        (layer(1.0, 1.0), layer(1.0, 1.0, seed=7)),  # nothing learnt
        (layer(0.01, 0.005), layer(1.0, 1.0)),  # smaller, but as informative: a norm, not complete
        (layer(0.01, 0.01), layer(1.0, 1.0)),  # smaller and nothing else
        (layer(1.0, 1.0, offset=30.0), layer(1.0, 1.0)),  # a large mean fools the normalised std
    ],
)
def test_no_complete_collapse_where_images_stay_apart(now: Evidence, start: Evidence) -> None:
    assert judged(now, start).verdict == []


def test_all_images_on_one_prototype_are_one_hot() -> None:
    winner = np.r_[20.0, np.zeros(31)]
    assert judged(head(softmax(1.0, winner)), head(softmax(0.5))).verdict == ["one-hot"]


def test_confident_but_different_answers_are_healthy() -> None:
    assert judged(head(softmax(40.0)), head(softmax(0.5))).verdict == []


def test_entropy_that_training_drove_to_ln_k_is_uniform() -> None:
    assert judged(head(softmax(0.01)), head(softmax(1.0))).verdict == ["uniform"]


def test_logits_as_small_as_at_initialisation_are_not_called_uniform() -> None:
    assert judged(head(softmax(0.05)), head(softmax(0.05))).verdict == []


def test_a_collapse_at_the_loss_layer_makes_the_headline_and_one_elsewhere_does_not() -> None:
    start = layer(1.0, 1.0)
    layers = {"representation": layer(1.0, 1.0), "embedding": layer(1.0, 1.0), "side": layer(0.001, 0.1, offset=1.0)}
    found = diagnose(
        Snapshot(9, "representation", ("embedding",), layers),
        Snapshot(0, "representation", ("embedding",), dict.fromkeys(layers, start)),
    )
    assert found.verdict == [] and found.verdicts["side"] == ["complete"]
    assert found.sentence.startswith("No ")


def test_what_is_not_diagnosed_is_said() -> None:
    found = judged(layer(1.0, 1.0), layer(1.0, 1.0))
    assert set(found.undetermined) | {"complete", "one-hot", "uniform"} == set(KINDS)


def test_most_images_at_one_point_is_complete_whatever_the_rest_does() -> None:
    sample = np.ones((200, 16))
    sample[:20] += 50 * RNG(0).standard_normal((20, 16))
    views = np.repeat(sample[:, None], 4, axis=1)
    assert judged(Evidence(sample=sample, views=views), layer(1.0, 1.0)).verdict == ["complete"]


def test_without_views_or_reference_complete_is_undetermined_not_healthy() -> None:
    plain = Evidence(sample=RNG(0).standard_normal((50, 8)))
    found = diagnose(Snapshot(10, "representation", ("embedding",), {"representation": plain, "embedding": plain}))
    assert found.verdict == [] and "views" in found.undetermined["complete"]
    assert found.sentence.startswith("Undetermined at embedding")
