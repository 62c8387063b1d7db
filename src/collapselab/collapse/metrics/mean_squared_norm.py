"""Size of the features on an absolute scale."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric


@metric(
    "sample",
    spec=Spec(
        formula="E ||z||^2",
        source="second moment; compare with the same layer at initialisation",
        sees="norm",
        blind_to="everything but size; outputs that blow up move it the other way",
        falls="down",
    ),
)
def mean_squared_norm(evidence: Evidence) -> float | None:
    moments = evidence.moments
    return moments.trace + float(moments.mean @ moments.mean)
