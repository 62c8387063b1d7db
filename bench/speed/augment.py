"""The founding notebook's augmentation of whole batches against its per-image transforms.

    python -m bench.speed.augment ours|peer WORKERS THREADS

is one side, a process of its own as in `worker`; WORKERS are the peer's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from statistics import fmean, median

import torch
from bench.speed import peer
from bench.speed.measure import PAIRS, Part, Result, Side, asked_in_turns
from bench.speed.ours import cell
from bench.speed.worker import Gate, images
from torch.utils.data import DataLoader

from collapselab.data.augment import Normalisation
from collapselab.data.loader import Loader
from collapselab.training.process import prepare

BATCHES = 16
# Epochs of ours in a turn, so that it lasts about as long as one of the peer: a moment's hiccup of the machine weighs as much.
EPOCHS = 12


def measure(pairs: int = PAIRS) -> Result:
    """Batches of 128 images as student and teacher see them: in one process and thread each, and as a training has them."""
    return Result(
        "augment",
        "torchvision's transforms of each PIL image, as in the founding notebook",
        {
            "one thread": _compare(pairs, workers=0, threads=1),
            "two loaders of two workers": _compare(pairs, workers=2, threads=torch.get_num_threads()),
        },
    )


def _compare(pairs: int, workers: int, threads: int) -> Part:
    theirs, ours = (Side("bench.speed.augment", side, str(workers), str(threads)) for side in ("peer", "ours"))
    with theirs, ours:
        part = asked_in_turns(theirs.ask, lambda: fmean(ours.ask() for _ in range(EPOCHS)), pairs)
    return replace(part, beside={"ours_ms_a_batch": 1e3 * median(part.ours) / BATCHES})


def main(side: str, workers: int, threads: int) -> None:
    prepare(threads)
    epoch, gate = (_ours() if side == "ours" else _theirs(workers)), Gate()
    while True:
        gate.wait()
        assert epoch() == BATCHES
        gate.passed()


def _theirs(workers: int) -> Callable[[], int]:
    data = images(BATCHES * peer.BATCH)
    # The notebook starts its workers once in 391 batches: a turn of 16 starts none.
    both = [
        DataLoader(
            peer.Images(data, transform), batch_size=peer.BATCH, num_workers=workers, persistent_workers=workers > 0
        )
        for transform in (peer.light, peer.strong)
    ]
    return lambda: sum(1 for _ in zip(*both, strict=True))


def _ours() -> Callable[[], int]:
    running, splits, manifest = cell("frozen", images(BATCHES * peer.BATCH))
    study = running.study
    loader = Loader(
        torch.from_numpy(splits["train"].images),
        torch.from_numpy(splits["train"].labels),
        study.augmentations["notebook"],
        Normalisation.for_data(study.data, manifest),
        peer.BATCH,
        0,
        shuffle=False,
    )
    return lambda: sum(1 for _ in loader.epoch(0))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
