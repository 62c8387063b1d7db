"""Batches of augmented views from images that are held once, as uint8, on the model's device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor

from collapselab.config.data import Augmentation
from collapselab.cudagraphs import Replayed
from collapselab.data import augment, colours
from collapselab.data.augment import Normalisation
from collapselab.randomness import uniforms


@dataclass(frozen=True)
class Batch:
    """What the loader gives: normalised views [N, 3, H, W] by branch, labels [N], and addressed draws."""

    images: Mapping[str, list[Tensor]]
    labels: Tensor
    uniforms: Callable[[str, int], Tensor]  # (purpose, columns) -> [N, columns] in [0, 1)


class Loader:
    """Epochs of batches; the last incomplete batch of an epoch is dropped, as batch statistics ask for full ones.

    Args:
        images: [N, 3, H, W] uint8, on the device that the model is on.
        labels: [N] int64, on the same device.
        augmentation: branch -> what it sees.
        seed: of the run; every draw's address begins with it.
        compiled: whether the augmentation is compiled.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        augmentation: Augmentation,
        normalise: Normalisation,
        batch_size: int,
        seed: int,
        *,
        shuffle: bool,
        compiled: bool = False,
    ) -> None:
        self.images, self.labels, self.augmentation, self.normalise = images, labels, augmentation, normalise
        self.batch_size, self.seed, self.shuffle = batch_size, seed, shuffle
        view = self._view
        if compiled:
            torch.compiler.assume_constant_result(colours.lasting)  # type: ignore[no-untyped-call]
            view = torch.compile(view)
        self._augment = {branch: Replayed(partial(view, branch)) for branch in augmentation}

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.images) // self.batch_size

    def epoch(self, number: int, first: int = 0) -> Iterator[Batch]:
        """The batches of epoch `number` from its batch `first` on, both counted from 0."""
        order = self._order(number)
        tables = {key: self._table(*key, number) for key in self._views()}
        # Tables of all images: drawn once an epoch, not at each batch that asks.
        drawn = cache(partial(self._uniforms, epoch=number))
        for start in range(first * self.batch_size, len(self) * self.batch_size, self.batch_size):
            yield self._batch(order[start : start + self.batch_size], tables, drawn)

    def _order(self, epoch: int) -> Tensor:
        if not self.shuffle:
            return torch.arange(len(self.images), device=self.images.device)
        keys = uniforms(self.seed, "order", epoch, len(self.images), 1)[:, 0]
        return torch.from_numpy(np.argsort(keys, kind="stable")).to(self.images.device)

    def _views(self) -> list[tuple[str, int]]:
        return [(branch, view) for branch, entry in self.augmentation.items() for view in range(entry.views)]

    def _table(self, branch: str, view: int, epoch: int) -> Tensor:
        config = self.augmentation[branch]
        drawn = self._uniforms(f"augment/{branch}/{view}", augment.width(config), epoch)
        return augment.decide(drawn, config, self.images.shape[-2:])

    def _uniforms(self, purpose: str, columns: int, epoch: int) -> Tensor:
        return torch.from_numpy(uniforms(self.seed, purpose, epoch, len(self.images), columns)).to(self.images.device)

    def _batch(
        self, rows: Tensor, tables: Mapping[tuple[str, int], Tensor], drawn: Callable[[str, int], Tensor]
    ) -> Batch:
        images = self.images.index_select(0, rows)  # whole rows: a third of the time of self.images[rows] on a CPU
        views: dict[str, list[Tensor]] = {branch: [] for branch in self.augmentation}
        for branch, view in self._views():
            table = tables[branch, view].index_select(0, rows)
            views[branch].append(self._augment[branch](images, table)["view"])
        return Batch(views, self.labels[rows], lambda purpose, columns: drawn(purpose, columns)[rows])

    def _view(self, branch: str, images: Tensor, table: Tensor) -> dict[str, Tensor]:
        return {"view": augment.see(images, table, self.augmentation[branch], self.normalise)}
