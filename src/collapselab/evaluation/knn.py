"""Weighted cosine k-NN (Wu et al., arXiv 1805.01978; the protocol of DINO, arXiv 2104.14294, appendix F.1)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from collapselab.config.evaluation import Knn
from collapselab.errors import UserError
from collapselab.evaluation.answers import Judged, labelled
from collapselab.files import Arrays, load_arrays
from collapselab.runs import MOMENTS, Run, layers, step_of

BLOCK = 512  # queries at a time, at most
SIMILARITIES = 2**27  # at a time, at most: half a GiB in float32, however large the bank
GROUP = 8  # bank images of which the nearest is looked for first


def capped_k(k: int, labels: NDArray[np.int64]) -> int:
    """k, at most one less than the smallest class of the bank: a larger one lets big classes outvote small ones."""
    return max(1, min(k, int(np.bincount(labels)[np.unique(labels)].min()) - 1))


def predict(bank: NDArray[Any], labels: NDArray[np.int64], queries: NDArray[Any], config: Knn) -> NDArray[np.int64]:
    """The class of each query: votes of its k nearest bank images by cosine, each weighing exp(similarity / temperature).

    Args:
        bank: [N, d], labels [N].
        queries: [M, d].

    Returns:
        [M]. Ties by a rule: of equally near bank images those that come first in the bank are taken, and equal votes go to the
        lower class number. Similarities are float32, so images whose cosines differ by rounding alone may count as tied.

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
    threads = torch.get_num_threads()
    block = block_of(len(keys), threads)

    # Each product writes where one before it did: the system would have to clear new pages for it.
    memory: SimpleQueue[NDArray[np.float32]] = SimpleQueue()
    for _ in range(threads):
        memory.put(np.empty((block, len(keys)), np.float32))

    def vote(start: int) -> None:
        part, out = asked[start : start + block], memory.get()
        try:
            # A product of NumPy's: on some CPUs a third faster than torch's.
            similarity, near = nearest(torch.from_numpy(np.matmul(part, keys.T, out=out[: len(part)])), k)
        finally:
            memory.put(out)
        # exp((s - 1) / T) is exp(s / T) times a constant: the same winner, no overflow at small T.
        weights = torch.exp((similarity - 1) / config.temperature)
        votes[start : start + block].scatter_add_(1, classes[near], weights)

    # Blocks side by side, each on one thread: NumPy's threads and torch's would get into each other's way.
    with _one_thread(), ThreadPoolExecutor(threads) as pool:
        deque(pool.map(vote, range(0, len(asked), block)), maxlen=0)
    return votes.argmax(1).numpy()


def block_of(bank: int, threads: int = 1) -> int:
    """Queries at a time on each of so many threads, for a bank of so many images."""
    return max(1, min(BLOCK, SIMILARITIES // (bank * threads)))


@contextmanager
def _one_thread() -> Iterator[None]:
    """For products and torch's functions, inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def nearest(similarity: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The k largest of each row of [m, N] and their places, [m, k] both; of equal ones the first."""
    values, at = _largest(similarity, min(k + 1, similarity.shape[1]))
    found, places = values[:, :k].contiguous(), at[:, :k].contiguous()
    # Which of equal values `topk` takes is left to it: where the next one is as large as the last, they are told apart here.
    tied = (values[:, k:] == found[:, -1:]).any(1).nonzero()[:, 0]
    if len(tied):
        rows, last = similarity[tied], found[tied, -1:]
        equal = rows == last
        room = k - (rows > last).sum(1, keepdim=True)
        taken = (rows > last) | (equal & (equal.cumsum(1) <= room))
        places[tied] = taken.nonzero()[:, 1].view(-1, k)
        found[tied] = rows.gather(1, places[tied])
    return found, places


def _largest(similarity: torch.Tensor, count: int, *, in_order: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """`topk` of each row, in a third of its time where rows are long: they lie in as many groups with the largest maxima."""
    length = similarity.shape[1]
    if length < 2 * GROUP * count:
        return similarity.topk(count, sorted=in_order)
    groups = length // GROUP  # group i is the columns i, i + groups, ...: read line by line
    heads = similarity[:, : GROUP * groups].view(len(similarity), GROUP, groups).amax(1)
    best = _largest(heads, count, in_order=False)[1]
    places = (best[:, None] + groups * torch.arange(GROUP)[:, None]).flatten(1)
    places = torch.cat([places, torch.arange(GROUP * groups, length).expand(len(places), -1)], 1)
    values, at = similarity.gather(1, places).topk(count, sorted=in_order)
    return values, places.gather(1, at)


def right(
    bank: NDArray[Any],
    bank_labels: NDArray[np.int64],
    queries: NDArray[Any],
    query_labels: NDArray[np.int64],
    config: Knn,
) -> NDArray[np.bool_]:
    """Whether each query's predicted class is its own, [M]."""
    return np.asarray(predict(bank, bank_labels, queries, config) == query_labels)


def accuracy(
    bank: NDArray[Any],
    bank_labels: NDArray[np.int64],
    queries: NDArray[Any],
    query_labels: NDArray[np.int64],
    config: Knn,
) -> float:
    """Share of queries, 0 to 1, whose predicted class is right."""
    return float(right(bank, bank_labels, queries, query_labels, config).mean())


def judge(run: Run, config: Knn) -> Judged:
    """One cell's entry of knn.json: every layer at initialisation and at the end, and the representation's curve.

    Test images are asked about at these two moments alone; the curve, and the best of it, are the validation images'.
    """
    answers: dict[str, NDArray[np.bool_]] = {}
    scores: dict[str, dict[str, float | None]] = {}
    for moment in MOMENTS:
        features = run.features(moment)
        known = labelled(features["train/labels"])
        for layer in layers(features):
            scores.setdefault(layer, {})[moment] = None
            if known:
                answers[f"{layer}/{moment}"] = of_split(features, layer, config)
                scores[layer][moment] = float(answers[f"{layer}/{moment}"].mean())
    if not known:
        return Judged({"seed": run.seed, "layers": scores, "curve": [], "best": None, "k": None})
    representation = run.config["representation"]
    curve = [
        {"step": step_of(path), "knn": _of_probe(load_arrays(path), representation, config)} for path in run.snapshots()
    ]
    best = max(curve, key=lambda point: (point["knn"], -point["step"]))
    used = {"table": capped_k(config.k, features["train/labels"]), "curve": _curve_k(run, config)}
    return Judged({"seed": run.seed, "layers": scores, "curve": curve, "best": best, "k": used}, answers)


def _curve_k(run: Run, config: Knn) -> int:
    snapshot = load_arrays(run.snapshots()[0])
    return capped_k(config.k, snapshot["labels"][snapshot["bank"].astype(bool)])


def of_split(features: Arrays, layer: str, config: Knn) -> NDArray[np.bool_]:
    """Test images asked, training images answering, at one layer of a features file."""
    train, test = features[f"train/{layer}"], features[f"test/{layer}"]
    return right(train, features["train/labels"], test, features["test/labels"], config)


def _of_probe(snapshot: Arrays, layer: str, config: Knn) -> float:
    vectors, labels, bank = snapshot[f"eval/clean/image/{layer}"], snapshot["labels"], snapshot["bank"].astype(bool)
    return accuracy(vectors[bank], labels[bank], vectors[~bank], labels[~bank], config)


def _unit(features: NDArray[Any]) -> NDArray[np.float32]:
    """Rows of length one, float32; a zero row stays zero."""
    return torch.nn.functional.normalize(torch.from_numpy(np.asarray(features, dtype=np.float32)), dim=1).numpy()
