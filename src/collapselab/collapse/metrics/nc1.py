"""NC1: variability within classes against that between them."""

from __future__ import annotations

import numpy as np

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.rounding import rounding


@metric(
    "sample",
    "labels",
    spec=Spec(
        formula="tr(S_W pinv(S_B)) / C, S_W the covariance within classes, S_B that of the C class means, each class once",
        source="Papyan, Han and Donoho 2020 (arXiv 2008.08186), NC1; classes of one image left out",
        centring="class means; their mean",
        range="0 (neural collapse) to infinity; undefined with fewer than two classes and where means differ by rounding only",
        sees="cluster, where clusters are the classes",
        blind_to="complete collapse; clusters that are no classes",
        falls="down",
    ),
)
def nc1(evidence: Evidence) -> float | None:
    classes = evidence.classes
    several = classes.counts >= 2
    number = int(several.sum())
    if number < 2 or not evidence.resolved:
        return None
    means = classes.means[several]
    size, directions = np.linalg.svd((means - means.mean(0)) / number**0.5, full_matrices=False)[1:]
    most = min(number - 1, len(size))
    size, directions = size[:most], directions[:most]
    within = np.einsum(
        "id,de,ie->i", directions, classes.within / classes.counts[several].sum(), directions, optimize=True
    )
    kept = size > 1e-7 * size[0]
    unit = rounding(evidence)
    lost = kept & (size <= unit * (1 + (evidence.sample.shape[1] / number) ** 0.5))
    # Where class means differ by rounding while images differ by more, the ratio is rounding too; where neither do, there is
    # no such direction.
    if (lost & (within > unit**2)).any():
        return None
    kept &= ~lost
    return float((within[kept] / size[kept] ** 2).sum() / number) if kept.any() else None
