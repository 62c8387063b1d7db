"""What the images themselves say: the end of every table that needs no network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.factors.decoding import CLASS, Decoded, Targets, decode
from collapselab.collapse.factors.verdicts import of_features
from collapselab.collapse.registry import Value, compute_all
from collapselab.data.dataset import Split
from collapselab.runs import Run

IMAGES = 512  # of the validation split: as many as a snapshot of the default study holds


@dataclass(frozen=True)
class DataBaseline:
    """Raw pixels as if they were features.

    Attributes:
        metrics: every metric of at most IMAGES validation images, 3 H W dimensions, 0 to 1.
        targets: the recorded factors to decode, None where the data set records none.
        decoded: how well each can be read from pixels.
    """

    metrics: dict[str, Value]
    targets: Targets | None
    decoded: dict[str, Decoded]

    @classmethod
    def of(cls, train: Split, validation: Split, test: Split) -> DataBaseline:
        pixels = validation.pixels()[:IMAGES]
        metrics = compute_all(Evidence(pixels, labels=validation.labels[:IMAGES]), PIXEL_METRICS)
        targets = Targets.of(train.factors, test.factors, train.labels, test.labels)
        if set(targets.columns) <= {CLASS}:
            return cls(metrics, None, {})
        return cls(metrics, targets, decode(train.pixels(), test.pixels(), targets))

    def factors(self, run: Run) -> dict[str, dict[str, dict[str, Any]]]:
        """What became of each factor in a cell, by layer."""
        if self.targets is None:
            return {}
        initial, final = run.features("initial"), run.features("final")
        return of_features(initial, final, self.targets, run.config["augmentation"], self.decoded)

    def as_dict(self) -> dict[str, Any]:
        return {
            "metrics": {name: None if value is None else float(f"{value:.9g}") for name, value in self.metrics.items()},
            "factors": {name: round(found.r2, 4) for name, found in self.decoded.items()},
        }


# Of thousands of dimensions only what needs no d x d decomposition of more than IMAGES vectors.
PIXEL_METRICS = (
    "cdnv",
    "direction_spread",
    "effective_rank",
    "ldreg",
    "lid_mle",
    "log_trace",
    "mean_share",
    "median_distance",
    "nesum",
    "normalised_std",
    "participation_ratio",
    "rank_ceiling",
    "self_cluster",
    "spectral_entropy_rank",
    "two_nn",
)
