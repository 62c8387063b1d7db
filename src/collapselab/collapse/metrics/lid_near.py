"""Local intrinsic dimension of the closest neighbourhood: where groups are small, 20 neighbours reach into the next."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.neighbours import CLOSEST, dimension


@metric(
    "rows",
    spec=Spec(
        formula="lid_mle with k = 5",
        source="Levina and Bickel 2004 (NIPS 17), averaged as MacKay and Ghahramani 2005 correct it; duplicates removed",
        centring="none (shift-invariant)",
        range="above 0; undefined where lid_mle is",
        sees="local",
        blind_to="flatness over a floor of noise: so near, the noise is all there is",
        falls="down",
    ),
)
def lid_near(evidence: Evidence) -> float | None:
    return dimension(evidence, CLOSEST)
