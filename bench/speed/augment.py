"""The founding notebook's augmentation of whole batches against its per-image transforms."""

from __future__ import annotations

from statistics import median

import torch
from bench.speed import peer
from bench.speed.measure import PAIRS, Part, Result, in_turns, seconds
from bench.speed.ours import cell
from bench.speed.worker import images
from torch.utils.data import DataLoader

from collapselab.data.augment import Normalisation
from collapselab.data.loader import Batch, Loader
from collapselab.training.process import prepare

BATCHES = 16


def measure(pairs: int = PAIRS) -> Result:
    """Batches of 128 images as student and teacher see them: in one process and thread each, and as a training has them."""
    prepare(0)
    data = images(BATCHES * peer.BATCH)
    threads = torch.get_num_threads()
    return Result(
        "augment",
        "torchvision's transforms of each PIL image, as in the founding notebook",
        {
            "one thread": _compare(data, pairs, workers=0, threads=1),
            "two loaders of two workers": _compare(data, pairs, workers=2, threads=threads),
        },
    )


def _compare(data, pairs: int, workers: int, threads: int) -> Part:  # type: ignore[no-untyped-def]
    torch.set_num_threads(threads)
    running, config, manifest = cell("frozen", data)
    study = running.study
    loader = Loader(
        torch.from_numpy(config["train"].images),
        torch.from_numpy(config["train"].labels),
        study.augmentations["notebook"],
        Normalisation.for_data(study.data, manifest),
        peer.BATCH,
        0,
        shuffle=False,
    )

    def theirs() -> None:
        both = [
            DataLoader(peer.Images(data, transform), batch_size=peer.BATCH, num_workers=workers)
            for transform in (peer.light, peer.strong)
        ]
        assert sum(1 for _ in zip(*both, strict=True)) == BATCHES

    def ours() -> list[Batch]:
        return [batch for batch in loader.epoch(0)]

    part = in_turns(theirs, ours, pairs)
    return Part(
        part.theirs, part.ours, {"ours_ms_a_batch": 1e3 * median(seconds(ours) for _ in range(pairs)) / BATCHES}
    )
