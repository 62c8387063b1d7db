"""k-NN and linear probe against scikit-learn and closed forms, on random and on real features."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from collapselab.backbones.resnet import CifarResNet
from collapselab.config.evaluation import Knn, LinearProbe
from collapselab.config.training import ResNet
from collapselab.errors import UserError
from collapselab.evaluation import knn, linear_probe
from collapselab.evaluation.linear_probe import held_out, probe


@dataclass(frozen=True)
class Features:
    bank: NDArray[np.float64]
    labels: NDArray[np.int64]
    queries: NDArray[np.float64]
    truth: NDArray[np.int64]


@pytest.fixture(scope="module")
def real() -> dict[str, Features]:
    """scikit-learn's digits: their pixels, and what a small untrained ResNet makes of them."""
    digits = load_digits()
    pixels, labels = digits.data[:1200], digits.target[:1200].astype(np.int64)
    torch.manual_seed(0)
    network = CifarResNet(ResNet(architecture="resnet", widths=[8, 16], blocks=[1, 1])).eval()
    images = torch.from_numpy(pixels.reshape(-1, 1, 8, 8) / 16).float().expand(-1, 3, -1, -1)
    with torch.no_grad():
        representation = network(images).double().numpy()
    return {
        name: Features(x[:900], labels[:900], x[900:], labels[900:])
        for name, x in (("pixels", pixels), ("resnet", representation))
    }


def votes(given: Features, k: int, temperature: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """scikit-learn's weighted vote by cosine: the class of each query, and by how much of all votes it won."""
    model = KNeighborsClassifier(k, metric="cosine", algorithm="brute", weights=lambda d: np.exp((1 - d) / temperature))
    shares = model.fit(given.bank, given.labels).predict_proba(given.queries)
    best = np.sort(shares, axis=1)
    return model.classes_[shares.argmax(1)], best[:, -1] - best[:, -2]


@pytest.mark.parametrize("name", ["pixels", "resnet"])
@pytest.mark.parametrize(("k", "temperature"), [(1, 0.1), (7, 0.1), (20, 0.5), (200, 0.07)])
def test_knn_equals_scikit_learn_on_real_features(
    real: dict[str, Features], name: str, k: int, temperature: float
) -> None:
    given = real[name]
    k = min(k, knn.capped_k(k, given.labels))
    expected, margin = votes(given, k, temperature)
    found = knn.predict(given.bank, given.labels, given.queries, Knn(k=k, temperature=temperature))
    decided = margin > 1e-4  # float32 here, float64 there: where the vote is a tie, either may win
    assert decided.mean() > 0.97
    np.testing.assert_array_equal(found[decided], expected[decided])


@pytest.mark.parametrize("block", [1, 17, 100, 4096])
def test_knn_equals_scikit_learn_on_random_features_in_blocks_of_any_size(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(knn, "BLOCK", block)
    rng = np.random.default_rng(0)
    given = Features(
        rng.standard_normal((300, 12)), rng.integers(0, 5, 300), rng.standard_normal((100, 12)), np.zeros(100, int)
    )
    expected, _ = votes(given, 10, 0.1)
    np.testing.assert_array_equal(knn.predict(given.bank, given.labels, given.queries, Knn(k=10)), expected)


def test_a_block_shrinks_as_the_bank_grows_so_that_memory_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert knn.block_of(1_281_167) * 1_281_167 <= knn.SIMILARITIES and knn.block_of(10**10) == 1
    assert knn.block_of(10_000) == knn.BLOCK
    assert knn.block_of(10_000, threads=64) * 64 * 10_000 <= knn.SIMILARITIES
    seen = []

    def watched(similarity: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(similarity.numel())
        return nearest(similarity, k)

    nearest = knn.nearest
    monkeypatch.setattr(knn, "nearest", watched)
    monkeypatch.setattr(knn, "SIMILARITIES", 3 * 64 * torch.get_num_threads())
    rng = np.random.default_rng(0)
    knn.predict(rng.standard_normal((64, 4)), np.arange(64) % 4, rng.standard_normal((10, 4)), Knn(k=3))
    assert sorted(seen) == [64] + [3 * 64] * 3


def test_ties_go_to_the_first_of_the_bank_and_to_the_lower_class(monkeypatch: pytest.MonkeyPatch) -> None:
    corners = np.array(
        list(itertools.product((-0.5, 0.5), repeat=4))
    )  # unit vectors whose cosines are exact: 1, .5, 0, ...
    bank = np.tile(corners, (20, 1))
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, len(bank))
    expected = []
    for query in corners:
        order = np.argsort(-(bank @ query), kind="stable")[:25]  # 20 copies at 1; 5 of the 80 at .5, the first
        share = np.bincount(labels[order], np.exp((bank[order] @ query - 1) / 0.1), minlength=4)
        expected.append(share.argmax())
    for block in (1, 3, 16):
        monkeypatch.setattr(knn, "BLOCK", block)
        np.testing.assert_array_equal(knn.predict(bank, labels, corners, Knn(k=25)), expected)
    everything = torch.ones(2, 6)
    assert knn.nearest(everything, 4)[1].tolist() == [[0, 1, 2, 3]] * 2
    split = np.eye(2)[[0, 0, 1, 1]]
    assert knn.predict(split, np.array([3, 1, 2, 0]), np.array([[1.0, 1.0]]), Knn(k=200))[0] == 3  # one neighbour
    both = np.array([[1.0, 0], [1, 0], [1, 0], [1, 0]])
    assert knn.predict(both, np.array([5, 2, 5, 2]), both[:1], Knn(k=1))[0] == 5  # the first
    assert knn.predict(np.tile(both, (2, 1)), np.array([5, 2] * 4), both[:1], Knn(k=2))[0] == 2  # a vote each


@pytest.mark.parametrize("length", [1, 7, 256, 1000, 1003])
@pytest.mark.parametrize("values", [3, 10**9], ids=["many ties", "none"])
def test_the_nearest_are_those_of_a_stable_sort(length: int, values: int) -> None:
    generator = torch.Generator().manual_seed(length)
    similarity = torch.randint(values, (20, length), generator=generator).double()
    k = min(length, 5)
    order = (-similarity).sort(dim=1, stable=True).indices[:, :k]
    found, places = knn.nearest(similarity, k)
    assert torch.equal(found.sort(1).values, similarity.gather(1, order).sort(1).values)
    assert torch.equal(places.sort(1).values, order.sort(1).values)
    assert torch.equal(similarity.gather(1, places), found)


def test_k_is_capped_below_the_smallest_class() -> None:
    labels = np.array([0] * 50 + [3] * 6)
    assert knn.capped_k(200, labels) == 5
    assert knn.capped_k(3, labels) == 3
    assert knn.capped_k(9, np.array([0, 1])) == 1


def test_a_small_temperature_does_not_overflow() -> None:
    bank = np.eye(4, dtype=np.float32)
    np.testing.assert_array_equal(knn.predict(bank, np.arange(4), bank, Knn(k=1, temperature=1e-4)), np.arange(4))


def test_features_that_are_not_finite_are_refused() -> None:
    bad = np.full((4, 2), np.nan)
    with pytest.raises(UserError, match="the queries hold NaN"):
        knn.predict(np.ones((4, 2)), np.arange(4), bad, Knn(k=1))


def test_a_collapsed_representation_scores_chance() -> None:
    labels = np.repeat(np.arange(10), 20)
    constant = np.ones((200, 8))
    assert knn.accuracy(constant, labels, constant, labels, Knn(k=10)) == pytest.approx(0.1, abs=0.06)


def test_the_probe_is_logistic_regression_on_standardised_features() -> None:
    digits = load_digits()
    x, y = digits.data[:700] * 100, digits.target[:700].astype(np.int64)
    found = probe(x[:500], y[:500], x[500:], y[500:], LinearProbe(inverse_regularisation=[0.1]))
    scaler = StandardScaler().fit(x[:500])
    model = LogisticRegression(C=0.1, max_iter=200).fit(scaler.transform(x[:500]), y[:500])
    assert found.accuracy == pytest.approx(model.score(scaler.transform(x[500:]), y[500:]))


def test_the_probe_chooses_its_regularisation_without_the_test_images() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(2), 100)
    x = rng.standard_normal((200, 150))
    x[:, 0] += 2 * y
    config = LinearProbe(inverse_regularisation=[1e-3, 1e3])
    chosen = probe(x, y, x, y, config)
    assert chosen.chosen == 1e-3  # the loose fit memorises 149 noise dimensions
    flipped = probe(x, y, x, 1 - y, config)
    assert flipped.chosen == chosen.chosen


def test_all_draws_of_one_original_are_held_out_together() -> None:
    originals = np.repeat(np.arange(100, 150), 8)
    labels = np.repeat(np.arange(5), 80)
    order = np.random.default_rng(0).permutation(400)
    held = held_out(labels[order], originals[order])
    assert not set(originals[order][held]) & set(originals[order][~held])
    assert held.mean() == 0.2 and np.bincount(labels[order][held]).tolist() == [16] * 5


def test_a_probe_on_draws_of_originals_holds_whole_originals_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    originals, y = np.repeat(np.arange(20), 10), np.repeat(np.arange(2), 100)
    x = rng.standard_normal((200, 4))
    x[:, 3] = originals
    fitted, asked = [], []

    class Watched(LogisticRegression):
        def fit(self, x, y):  # type: ignore[no-untyped-def]
            fitted.append(set(x[:, 3]))
            return super().fit(x, y)

        def predict(self, x):  # type: ignore[no-untyped-def]
            asked.append(set(x[:, 3]))
            return super().predict(x)

    monkeypatch.setattr(linear_probe, "LogisticRegression", Watched)
    monkeypatch.setattr(linear_probe, "StandardScaler", lambda: FunctionTransformer())
    probe(x, y, x, y, LinearProbe(inverse_regularisation=[0.1, 1.0]), originals)
    assert len(fitted) == 3 and [len(seen) for seen in asked] == [4, 4, 20]
    assert not fitted[0] & asked[0] and not fitted[1] & asked[1]
