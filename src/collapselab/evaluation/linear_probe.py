"""Linear probe: multinomial logistic regression on frozen, standardised features."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from collapselab.config.evaluation import LinearProbe
from collapselab.data.dataset import stratified
from collapselab.randomness import generator
from collapselab.runs import MOMENTS, Run

HELD_OUT = 0.2  # share of the training features on which the regularisation is chosen


@dataclass(frozen=True)
class Probed:
    """Test accuracy (0 to 1), and scikit-learn's C that the held-out training images chose."""

    accuracy: float
    inverse_regularisation: float


def probe(
    train: NDArray[Any],
    train_labels: NDArray[np.int64],
    test: NDArray[Any],
    test_labels: NDArray[np.int64],
    config: LinearProbe,
) -> Probed:
    """Fit on `train` [N, d], score on `test` [M, d]. C is chosen on a fifth of the training images, then all are fitted."""
    best = config.inverse_regularisation[0]
    if len(config.inverse_regularisation) > 1:
        held, rest = stratified(train_labels, max(1, round(HELD_OUT * len(train))), generator(0, "linear_probe"))
        scores = [
            _score(c, config, train[rest], train_labels[rest], train[held], train_labels[held])
            for c in config.inverse_regularisation
        ]
        best = config.inverse_regularisation[int(np.argmax(scores))]
    return Probed(_score(best, config, train, train_labels, test, test_labels), best)


def _score(
    c: float,
    config: LinearProbe,
    train: NDArray[Any],
    labels: NDArray[np.int64],
    test: NDArray[Any],
    truth: NDArray[np.int64],
) -> float:
    model: Pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=config.max_iterations))
    # One thread: these products are so small that a second BLAS thread makes the fit ten times slower. It also fixes the bytes.
    with warnings.catch_warnings(), threadpool_limits(1):
        # A collapsed representation has no finite optimum; the score after max_iterations is the answer asked for.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(train.astype(np.float64), labels)
    return float(model.score(test.astype(np.float64), truth))


def judge(run: Run, config: LinearProbe) -> dict[str, Any]:
    """One cell's entry of linear_probe.json: the representation at initialisation and at the end."""
    layer = run.config["representation"]
    scores: dict[str, dict[str, float]] = {}
    for moment in MOMENTS:
        features = run.features(moment)
        train, test = features[f"train/{layer}"], features[f"test/{layer}"]
        found = probe(train, features["train/labels"], test, features["test/labels"], config)
        scores[moment] = {"accuracy": found.accuracy, "inverse_regularisation": found.inverse_regularisation}
    return {
        "seed": run.seed,
        "layers": {layer: {moment: score["accuracy"] for moment, score in scores.items()}},
        "inverse_regularisation": {moment: score["inverse_regularisation"] for moment, score in scores.items()},
    }
