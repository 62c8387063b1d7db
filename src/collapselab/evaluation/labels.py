"""Whether a data set carries labels, and what a study may not ask of one that does not."""

from __future__ import annotations

from collapselab.config.study import Study
from collapselab.data.dataset import Manifest
from collapselab.errors import UserError
from collapselab.methods import METHODS


def check_labels(study: Study, manifest: Manifest) -> None:
    """Raise UserError where a regime trains with labels and the images carry none; everything else skips what needs them."""
    if len(manifest.classes) > 1:
        return
    for name, regime in study.regimes.items():
        if METHODS[regime.method].supervised:
            raise UserError(
                f"params.yaml: regimes.{name}.method = {regime.method!r}: it trains with labels, and {manifest.origin} has fewer "
                "than two classes. Leave this regime out, or sort the images into one subfolder a class"
            )
