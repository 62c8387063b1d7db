"""Weighted cosine k-NN (Wu et al., arXiv 1805.01978; the protocol of DINO, arXiv 2104.14294, appendix F.1)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from collapselab.config.evaluation import Knn
from collapselab.errors import UserError
from collapselab.files import Arrays, load_arrays
from collapselab.runs import MOMENTS, Run, layers, step_of

BLOCK = 1024  # queries at a time: bounds memory at BLOCK x bank similarities


def capped_k(k: int, labels: NDArray[np.int64]) -> int:
    """k, at most one less than the smallest class of the bank: a larger one lets big classes outvote small ones."""
    return max(1, min(k, int(np.bincount(labels)[np.unique(labels)].min()) - 1))


def predict(bank: NDArray[Any], labels: NDArray[np.int64], queries: NDArray[Any], config: Knn) -> NDArray[np.int64]:
    """The class of each query: votes of its k nearest bank images by cosine, each weighing exp(similarity / temperature).

    Args:
        bank: [N, d], labels [N].
        queries: [M, d].

    Returns:
        [M]. Equal votes go to the lower class number; of equally near neighbours any may be taken, as in every top-k.

    Raises:
        UserError: where a feature is not finite.
    """
    for name, features in (("bank", bank), ("queries", queries)):
        if not np.isfinite(features).all():
            raise UserError(f"k-NN: the {name} hold NaN or infinite features; the run that made them diverged")
    keys, asked = _unit(bank), _unit(queries)
    k = capped_k(config.k, labels)
    classes = torch.from_numpy(labels)
    votes = torch.zeros(len(asked), int(labels.max()) + 1)
    for start in range(0, len(asked), BLOCK):
        similarity, nearest = (asked[start : start + BLOCK] @ keys.T).topk(k)
        # exp((s - 1) / T) is exp(s / T) times a constant: the same winner, no overflow at small T.
        weights = torch.exp((similarity - 1) / config.temperature)
        votes[start : start + BLOCK].scatter_add_(1, classes[nearest], weights)
    return votes.argmax(1).numpy()


def accuracy(
    bank: NDArray[Any],
    bank_labels: NDArray[np.int64],
    queries: NDArray[Any],
    query_labels: NDArray[np.int64],
    config: Knn,
) -> float:
    """Share of queries, 0 to 1, whose predicted class is right."""
    return float((predict(bank, bank_labels, queries, config) == query_labels).mean())


def judge(run: Run, config: Knn) -> dict[str, Any]:
    """One cell's entry of knn.json: every layer at initialisation and at the end, and the representation's curve."""
    scores: dict[str, dict[str, float]] = {}
    for moment in MOMENTS:
        features = run.features(moment)
        for layer in layers(features):
            scores.setdefault(layer, {})[moment] = _of_split(features, layer, config)
    representation = run.config["representation"]
    curve = [
        {"step": step_of(path), "knn": _of_probe(load_arrays(path), representation, config)} for path in run.snapshots()
    ]
    best = max(curve, key=lambda point: (point["knn"], -point["step"]))
    used = {"table": capped_k(config.k, features["train/labels"]), "curve": _curve_k(run, config)}
    return {"seed": run.seed, "layers": scores, "curve": curve, "best": best, "k": used}


def _curve_k(run: Run, config: Knn) -> int:
    snapshot = load_arrays(run.snapshots()[0])
    return capped_k(config.k, snapshot["labels"][snapshot["bank"].astype(bool)])


def _of_split(features: Arrays, layer: str, config: Knn) -> float:
    train, test = features[f"train/{layer}"], features[f"test/{layer}"]
    return accuracy(train, features["train/labels"], test, features["test/labels"], config)


def _of_probe(snapshot: Arrays, layer: str, config: Knn) -> float:
    vectors, labels, bank = snapshot[f"eval/clean/image/{layer}"], snapshot["labels"], snapshot["bank"].astype(bool)
    return accuracy(vectors[bank], labels[bank], vectors[~bank], labels[~bank], config)


def _unit(features: NDArray[Any]) -> torch.Tensor:
    """Rows of length one, float32; a zero row stays zero."""
    return torch.nn.functional.normalize(torch.from_numpy(np.asarray(features, dtype=np.float32)), dim=1)
