"""k-NN and linear probe against scikit-learn and closed forms, on random and on real features."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from collapselab.config.evaluation import Knn, LinearProbe
from collapselab.errors import UserError
from collapselab.evaluation import knn
from collapselab.evaluation.linear_probe import probe


def unit(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def reference(bank: NDArray, labels: NDArray, queries: NDArray, k: int, temperature: float) -> NDArray[np.int64]:  # type: ignore[type-arg]
    """scikit-learn's weighted vote on unit vectors: ||u - v||^2 = 2 - 2 cos."""
    model = KNeighborsClassifier(k, algorithm="brute", weights=lambda d: np.exp((1 - d**2 / 2) / temperature))
    predicted: NDArray[np.int64] = model.fit(unit(bank), labels).predict(unit(queries))
    return predicted


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.1), (7, 0.1), (20, 0.5)])
def test_knn_equals_scikit_learn_on_real_features(k: int, temperature: float) -> None:
    digits = load_digits()
    x, y = digits.data[:1200], digits.target[:1200].astype(np.int64)
    ours = knn.predict(x[:900], y[:900], x[900:], Knn(k=k, temperature=temperature))
    assert (
        ours == reference(x[:900], y[:900], x[900:], k, temperature)
    ).mean() > 0.996  # float32 against float64 at near-ties


def test_knn_equals_scikit_learn_on_random_features_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knn, "BLOCK", 17)
    rng = np.random.default_rng(0)
    bank, queries, labels = rng.standard_normal((300, 12)), rng.standard_normal((100, 12)), rng.integers(0, 5, 300)
    expected = reference(bank, labels, queries, 10, 0.1)
    np.testing.assert_array_equal(knn.predict(bank, labels, queries, Knn(k=10)), expected)


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
    assert chosen.inverse_regularisation == 1e-3  # the loose fit memorises 149 noise dimensions
    flipped = probe(x, y, x, 1 - y, config)
    assert flipped.inverse_regularisation == chosen.inverse_regularisation
