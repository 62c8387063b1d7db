"""Local intrinsic dimension of the closest neighbourhood: where groups are small, 20 neighbours reach into the next."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.neighbours import CLOSEST, inverse_dimensions


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
    found = inverse_dimensions(evidence, CLOSEST)
    return float(1 / found.mean()) if found is not None and found.mean() > 1e-9 else None
