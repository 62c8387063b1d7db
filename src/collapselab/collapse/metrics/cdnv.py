"""Class-distance normalised variance: how far classes overlap, pair by pair."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import pdist

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.rounding import rounding


@metric(
    "sample",
    "labels",
    spec=Spec(
        formula="mean over pairs of classes of (v_i + v_j) / (2 ||mu_i - mu_j||^2), v a class's variance around its mean mu",
        source="Galanti, Gyorgy and Hutter 2022 (arXiv 2112.15121); classes of one image left out",
        centring="class means",
        range="0 (neural collapse) to infinity; undefined with fewer than two classes and where two means agree up to rounding",
        sees="cluster, where clusters are the classes",
        blind_to="complete collapse (0 / 0); clusters that are no classes",
        falls="down",
    ),
)
def cdnv(evidence: Evidence) -> float | None:
    classes = evidence.classes
    several = classes.counts >= 2
    if several.sum() < 2 or not evidence.resolved:
        return None
    distances = pdist(classes.means[several])
    if distances.min() <= rounding(evidence) * evidence.sample.shape[1] ** 0.5:
        return None
    variances = classes.spreads[several] / classes.counts[several]
    one, other = np.triu_indices(len(variances), 1)
    return float(((variances[one] + variances[other]) / (2 * distances**2)).mean())
