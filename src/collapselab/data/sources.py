"""The sources a study can name, each in its own file: a module with `make(config) -> splits`."""

from __future__ import annotations

from pathlib import Path

from collapselab.config.data import Cifar10, Digits, Folder
from collapselab.data.dataset import Manifest, save_dataset


def download(config: Digits | Cifar10 | Folder, raw: Path, out: Path) -> Manifest:
    """Make the study's data set in `out`; `raw` is where original archives are kept.

    Raises UserError where the data can't be had, with what was tried and the ways forward.
    """
    if isinstance(config, Digits):
        from collapselab.data import digits

        return save_dataset(out, "digits", digits.ORIGIN, digits.CLASSES, digits.make(config))
    if isinstance(config, Cifar10):
        from collapselab.data import cifar10

        return save_dataset(out, "cifar10", *cifar10.make(config, raw / "cifar10"))
    from collapselab.data import folder

    return save_dataset(out, "folder", *folder.make(config))
