"""Linear probe: multinomial logistic regression on frozen, standardised features."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from collapselab.config.evaluation import LinearProbe
from collapselab.data.dataset import stratified
from collapselab.evaluation import sgd_probe
from collapselab.evaluation.answers import Judged, labelled
from collapselab.randomness import generator
from collapselab.runs import MOMENTS, Run, layers

HELD_OUT = 0.2  # share of the training features on which the regularisation, or the rate, is chosen


@dataclass(frozen=True)
class Probed:
    """Whether each test image was named rightly, [M], and what the held-out training images chose: C, or the base rate."""

    right: NDArray[np.bool_]
    chosen: float

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())


def candidates(config: LinearProbe) -> Sequence[float]:
    return config.inverse_regularisation if config.solver == "lbfgs" else config.sgd.base_learning_rate


def probe(
    train: NDArray[Any],
    train_labels: NDArray[np.int64],
    test: NDArray[Any],
    test_labels: NDArray[np.int64],
    config: LinearProbe,
    originals: NDArray[np.int64] | None = None,
) -> Probed:
    """Fit on `train` [N, d], score on `test` [M, d]. A fifth of the training images chooses the setting, then all are fitted.

    Args:
        originals: [N], of which original each training image is a draw: all draws of one are held out together, or the choice
            would be made on images that the fit has seen.
    """
    best, *others = candidates(config)
    if others:
        held = held_out(train_labels, np.arange(len(train)) if originals is None else originals)
        scores = [
            _right(setting, config, train[~held], train_labels[~held], train[held], train_labels[held]).mean()
            for setting in candidates(config)
        ]
        best = candidates(config)[int(np.argmax(scores))]
    return Probed(_right(best, config, train, train_labels, test, test_labels), best)


def held_out(labels: NDArray[np.int64], originals: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which images choose, [N]: a fifth of the originals with all their draws, spread evenly over the classes."""
    names, first, ids = np.unique(originals, return_index=True, return_inverse=True)
    chosen, _ = stratified(labels[first], max(1, round(HELD_OUT * len(names))), generator(0, "linear_probe"))
    return np.asarray(np.isin(ids, chosen))


def _right(
    setting: float,
    config: LinearProbe,
    train: NDArray[Any],
    labels: NDArray[np.int64],
    test: NDArray[Any],
    truth: NDArray[np.int64],
) -> NDArray[np.bool_]:
    # One thread: these products are so small that a second BLAS thread makes the fit ten times slower. It also fixes the bytes.
    with warnings.catch_warnings(), threadpool_limits(1):
        # A collapsed representation has no finite optimum; the score after max_iterations is the answer asked for.
        warnings.simplefilter("ignore", ConvergenceWarning)
        scaler = StandardScaler().fit(train.astype(np.float64))
        x, asked = (scaler.transform(features.astype(np.float64)) for features in (train, test))
        if config.solver == "sgd":
            predicted = sgd_probe.predict(x, labels, asked, setting, config.sgd)
        else:
            predicted = LogisticRegression(C=setting, max_iter=config.max_iterations).fit(x, labels).predict(asked)
    return np.asarray(predicted == truth)


def judge(run: Run, config: LinearProbe, originals: NDArray[np.int64] | None) -> Judged:
    """One cell's entry of linear_probe.json: every layer at initialisation and at the end.

    `originals`: of the training images, as in `probe`.
    """
    answers: dict[str, NDArray[np.bool_]] = {}
    scores: dict[str, dict[str, float | None]] = {}
    chosen: dict[str, dict[str, float | None]] = {}
    for moment in MOMENTS:
        features = run.features(moment)
        for layer in layers(features):
            scores.setdefault(layer, {})[moment] = chosen.setdefault(layer, {})[moment] = None
            if labelled(features["train/labels"]):
                train, test = (features[f"{split}/{layer}"] for split in ("train", "test"))
                found = probe(train, features["train/labels"], test, features["test/labels"], config, originals)
                answers[f"{layer}/{moment}"] = found.right
                scores[layer][moment], chosen[layer][moment] = found.accuracy, found.chosen
    return Judged({"seed": run.seed, "layers": scores, "chosen": chosen}, answers)
