"""Verdicts on features whose kind of collapse is known by construction."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import entropy

from collapselab.collapse import kind
from collapselab.collapse.diagnosis import Diagnosis, diagnose
from collapselab.collapse.evidence import Evidence
from collapselab.collapse.kind import KINDS, load_kinds
from collapselab.collapse.registry import load_metrics
from collapselab.collapse.signatures import read
from collapselab.collapse.snapshot import Snapshot
from collapselab.collapse.thresholds import THRESHOLDS, load_thresholds
from collapselab.collapse.token_sums import TokenSums
from collapselab.errors import UserError

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

    return diagnose(snapshot(100, now), snapshot(0, start), draws=0)


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


def test_where_a_loss_compares_directions_lengths_hide_no_complete_collapse() -> None:
    """As without stop-gradient in BYOL: outputs as far apart as ever, along one line through the origin."""
    start, g = layer(1.0, 1.0), RNG(3)
    lengths = np.exp(g.standard_normal((200, 1, 1)))
    views = 3 * lengths * (np.ones(16) + 0.005 * g.standard_normal((200, 4, 16)))
    now = Evidence(sample=views[:, 0], views=views)
    assert "complete" not in judged(now, start).verdicts["embedding"]
    found = judged(replace(now, directional=True), replace(start, directional=True))
    assert found.verdict == ["complete"]
    assert found.kinds["embedding"]["complete"].severity > 0.9


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
        draws=0,
    )
    assert found.verdict == [] and found.verdicts["side"] == ["complete"]
    assert found.sentence.startswith("No ")


def test_a_kind_whose_input_is_missing_is_listed_with_what_to_supply() -> None:
    found = diagnose(gaussian(100, 8), draws=0)
    assert set(found.undetermined) == {
        "complete", "norm", "one-hot", "uniform", "prototype", "token-position", "token-smooth", "nuisance",
    }  # fmt: skip
    assert "views" in found.undetermined["nuisance"] and "probabilities" in found.undetermined["one-hot"]
    assert set(found.undetermined) | set(found.kinds["features"]) == set(KINDS)


def test_most_images_at_one_point_is_complete_whatever_the_rest_does() -> None:
    sample = np.ones((200, 16))
    sample[:20] += 50 * RNG(0).standard_normal((20, 16))
    views = np.repeat(sample[:, None], 4, axis=1)
    assert judged(Evidence(sample=sample, views=views), layer(1.0, 1.0)).verdict == ["complete"]


def test_without_views_or_reference_complete_is_undetermined_not_healthy() -> None:
    found = diagnose(gaussian(50, 8), draws=0)
    assert found.verdict == [] and "views" in found.undetermined["complete"]
    assert "whether it collapsed completely needs augmented views" in found.sentence


def gaussian(n: int, d: int, seed: int = 0) -> NDArray[np.float64]:
    return RNG(seed).standard_normal((n, d))


def curve(n: int, d: int) -> NDArray[np.float64]:
    """Points of a line through all d dimensions: globally spread, locally flat."""
    return np.cos(RNG(0).uniform(0, 200, (n, 1)) * RNG(1).uniform(0.5, 1.5, d) + RNG(2).uniform(0, 6.3, d))


def clustered(n: int, d: int, within: float, count: int = 7) -> NDArray[np.float64]:
    return gaussian(count, d)[RNG(3).integers(0, count, n)] + within * gaussian(n, d, 4)


BARE: dict[str, tuple[NDArray[np.float64], list[str]]] = {
    "Gaussian": (gaussian(600, 64), []),
    "power law": (gaussian(600, 64) * np.arange(1, 65) ** -0.75, []),
    "classes": (clustered(600, 64, 0.7), []),
    "a mean of a million": ((gaussian(600, 64) + 1e6).astype(np.float64), []),
    "a tiny norm": (1e-6 * gaussian(600, 64), []),
    "constant": (np.full((600, 64), 2.5), ["complete"]),
    "float noise": ((1000 + 1e-5 * gaussian(600, 64)).astype(np.float32), ["complete"]),
    "rank 8": (gaussian(600, 8) @ gaussian(8, 64, 1), ["dimensional"]),
    "rank 8 over a floor": (gaussian(600, 8) @ gaussian(8, 64, 1) + 0.01 * gaussian(600, 64, 2), ["dimensional"]),
    "tight clusters": (clustered(600, 64, 0.03), ["dimensional", "cluster"]),
    "curve": (curve(1500, 64), ["local"]),
}


@pytest.mark.parametrize("name", BARE)
def test_bare_features_are_named_for_what_they_are(name: str) -> None:
    features, kinds = BARE[name]
    assert diagnose(features, draws=0).verdict == kinds


def test_augmentation_noise_alone_is_nuisance() -> None:
    views = gaussian(200, 1)[:, None] * 0.05 + RNG(5).standard_normal((200, 4, 16))
    assert diagnose(Evidence(views[:, 0], views=views), draws=0).verdict == ["nuisance"]


@pytest.mark.parametrize(
    ("tokens", "kinds"),
    [
        (gaussian(80, 16)[:, None] + RNG(6).standard_normal((80, 9, 16)) + RNG(7).standard_normal((9, 16)), []),
        (3 * RNG(7).standard_normal((9, 16)) + 0.1 * RNG(6).standard_normal((80, 9, 16)), ["token-position"]),
        (gaussian(80, 16)[:, None] + 0.01 * RNG(6).standard_normal((80, 9, 16)), ["token-smooth"]),
    ],
)
def test_tokens(tokens: NDArray[np.float64], kinds: list[str]) -> None:
    assert diagnose(Evidence(gaussian(80, 16), tokens=TokenSums.of(tokens)), draws=0).verdict == kinds


def test_few_prototypes_and_copies_of_prototypes() -> None:
    few = np.eye(64)[RNG(0).integers(0, 3, 300)] * 0.94 + 0.06 / 64
    assert diagnose(Evidence(gaussian(300, 8), probabilities=few), draws=0).verdict == ["prototype"]
    healthy = softmax(3.0, k=64)
    copies = np.repeat(gaussian(4, 32), 16, axis=0) + 0.001 * gaussian(64, 32, 1)
    evidence = Evidence(gaussian(200, 8), probabilities=healthy)
    found = diagnose(evidence, draws=0)
    assert found.verdict == [] and "weights" in found.undetermined["prototype"]
    assert diagnose(replace(evidence, prototypes=copies), draws=0).verdict == ["prototype"]


@pytest.mark.parametrize(("factor", "kinds"), [(1e-3, ["norm"]), (1e4, ["norm"]), (0.2, []), (20.0, [])])
def test_norm_is_graded_against_the_start(factor: float, kinds: list[str]) -> None:
    assert diagnose(factor * gaussian(200, 16), gaussian(200, 16, 1), draws=0).verdict == kinds


def test_directions_that_were_dead_at_the_start_do_not_count() -> None:
    bottleneck = gaussian(300, 16) @ gaussian(16, 64, 1)
    assert diagnose(bottleneck, draws=0).verdict == ["dimensional"]
    assert diagnose(bottleneck, gaussian(300, 16, 2) @ gaussian(16, 64, 3), draws=0).verdict == []


def test_intervals_hold_the_severity_and_narrow_with_images() -> None:
    def interval(n: int) -> tuple[float, float]:
        finding = diagnose(clustered(n, 16, 0.12), draws=40).kinds["features"]["cluster"]
        assert finding.interval is not None and finding.interval[0] <= finding.severity <= finding.interval[1]
        return finding.interval

    few, many = interval(60), interval(900)
    assert many[1] - many[0] < few[1] - few[0]


def test_the_same_features_give_the_same_diagnosis() -> None:
    features = clustered(300, 16, 0.12)
    assert diagnose(features, draws=5) == diagnose(features.copy(), draws=5)


def test_a_signature_of_the_loss_is_a_warning() -> None:
    signatures = read({"loss": [8.3178] * 50})
    assert [signature.kind for signature in signatures] == ["uniform"]
    assert "ln 4096" in diagnose(gaussian(50, 8), signatures=signatures, draws=0).warnings[0]


@pytest.mark.parametrize(
    ("history", "kinds"),
    [
        ({"loss": [-0.2, *[-0.999] * 20]}, ["complete"]),
        ({"loss": [2.0, *[1e-9] * 20], "teacher_entropy": [2.0, *[0.0] * 20]}, ["one-hot"]),
        ({"loss": [2.0, *[1e-9] * 20]}, ["complete"]),
        ({"loss": [25.0] * 20, "covariance": [0.0] * 20, "variance": [0.99] * 20}, ["complete"]),
        ({"loss": list(np.linspace(6, 4, 50))}, []),
        ({"loss": [float("nan")] * 3}, []),
        ({"step": [1.0, 2.0]}, []),
    ],
)
def test_signatures_of_losses(history: dict[str, list[float]], kinds: list[str]) -> None:
    assert [signature.kind for signature in read(history)] == kinds


def test_thresholds_can_be_overridden_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "dimensional/dead-share: {none: 0.9, full: 0.99}\ndimensional/rank-to-power-law: {none: 0.1, full: 0.01}\n"
    )
    assert diagnose(BARE["rank 8"][0], thresholds=load_thresholds(path), draws=0).verdict == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dimension: {none: 1}", "is no threshold"),
        ("cluster/within: {none: 0.1, most: 2}", "give `none` and `full`"),
        ("cluster/within: {none: -1}", "must be above 0"),
        ("cluster/within: {none: 0.001}", "must lie below"),
        ("cluster/within: {none: yes}", "must be a number"),
        ("[1, 2]", "must map names"),
        ("a: [", "not valid YAML"),
    ],
)
def test_a_mistake_in_a_thresholds_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=re.escape(message)):
        load_thresholds(path)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.ones((1, 4)), "one vector"),
        (np.ones(4), "must be [images, dimensions]"),
        (np.array([[1.0, np.nan], [1.0, 2.0]]), "NaN or infinity"),
        (np.array([["a", "b"], ["c", "d"]]), "save real numbers"),
        (1e-160 * gaussian(20, 4), "rescale"),
    ],
)
def test_features_that_cannot_be_measured_are_refused(features: NDArray[np.float64], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        diagnose(features, draws=0)


def test_every_kind_has_a_page_and_thresholds() -> None:
    kinds = load_kinds()
    assert set(kind._REGISTERED) == set(KINDS), "a kind's name belongs into KINDS of collapse/kind.py"
    assert tuple(kinds) == KINDS
    for name, one in kinds.items():
        assert one.what and one.measured and one.looks_like and one.causes and one.remedies and one.sources
        assert any(threshold.startswith(f"{name}/") for threshold in THRESHOLDS)
        assert set(one.reads) <= set(load_metrics()) and set(one.against) <= set(load_metrics())


def test_another_run_with_the_same_collapse_acquits_nobody() -> None:
    low = gaussian(300, 8) @ gaussian(8, 64, 1)
    assert diagnose(low, low, draws=0).verdict == []  # so from the start: a bottleneck
    assert diagnose(low, low, initial=False, draws=0).verdict == ["dimensional"]


def test_a_second_place_is_no_outlier() -> None:
    domains = np.r_[gaussian(950, 64), 15 + gaussian(50, 64, 1)]
    assert diagnose(domains, draws=0).verdict == []
    thrown = np.r_[1e-3 * gaussian(950, 64), 5 * gaussian(50, 64, 1)]
    assert diagnose(thrown, draws=0).verdict == ["complete"]


def test_half_precision_with_an_offset_keeps_its_directions() -> None:
    features = (gaussian(2000, 64) * np.arange(1, 65) ** -0.5 + 10).astype(np.float32)
    stored = (features.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)  # bfloat16
    assert diagnose(stored, draws=0).verdict == []


def test_a_softmax_that_sums_to_one_loses_no_direction() -> None:
    assert diagnose(RNG(1).dirichlet(np.ones(3), 500), draws=0).verdict == []


def test_the_same_softmax_for_every_image_is_warned_of() -> None:
    p = np.tile(RNG(0).dirichlet(np.ones(100)), (200, 1))
    found = diagnose(Evidence(gaussian(200, 8), probabilities=p), draws=0)
    assert found.verdict == [] and any("the same for every image" in text for text in found.warnings)
