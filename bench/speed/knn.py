"""Weighted k-NN against the search of faiss's flat index, which neither normalises nor votes."""

from __future__ import annotations

import numpy as np
import torch
from bench.speed.measure import PAIRS, Part, Result, in_turns, peak

from collapselab.config.evaluation import Knn
from collapselab.errors import UserError
from collapselab.evaluation import knn

BANK, QUERIES, DIMENSIONS, CLASSES = 50_000, 10_000, 512, 10


def measure(pairs: int = PAIRS) -> Result:
    """All of `predict` against normalised vectors put into an index and the 200 nearest read, on all cores each."""
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise UserError("faiss-cpu is not installed: `make speed` installs it, apart from collapselab's own") from error
    threads = torch.get_num_threads()
    faiss.omp_set_num_threads(threads)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, BANK)
    bank = rng.standard_normal((BANK, DIMENSIONS), dtype=np.float32)
    queries = rng.standard_normal((QUERIES, DIMENSIONS), dtype=np.float32)
    units = [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (bank, queries)]
    config = Knn()
    before = peak()
    knn.predict(bank, labels, queries, config)
    extra = (peak() - before) / 2**30

    def theirs() -> None:
        index = faiss.IndexFlatIP(DIMENSIONS)
        index.add(units[0])
        index.search(units[1], config.k)

    part = in_turns(theirs, lambda: knn.predict(bank, labels, queries, config), pairs)
    return Result(
        "knn",
        f"faiss-cpu {faiss.__version__}, IndexFlatIP",
        {f"{BANK} x {QUERIES} x {DIMENSIONS}": Part(part.theirs, part.ours, {"ours_extra_gib": extra})},
    )
