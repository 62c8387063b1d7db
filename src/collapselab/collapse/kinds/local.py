"""Globally spread, locally flat."""

from __future__ import annotations

from collapselab.collapse.kind import Case, Graded, Missing, kind


@kind(
    what="Features spread over many directions as a whole, yet around each image they vary along one or two only.",
    measured=(
        "Local intrinsic dimension (Levina and Bickel, of 20 neighbours and of the closest 5) far below the effective "
        "rank, or fallen against "
        "random initialisation while the effective rank stayed. A flat subspace has both low: that is dimensional collapse."
    ),
    looks_like="Spectra and ranks look healthy; neighbours lie on threads.",
    causes=(
        "augmentation that connects images along one or two paths only",
        "decorrelation of the whole batch, which sees nothing of neighbourhoods",
    ),
    remedies=("regularise the local dimension (LDReg)", "more varied augmentation, more images"),
    sources=("Huang et al. 2024, arXiv 2401.10474 (LDReg)", "Levina and Bickel 2004"),
    reads=("lid_mle", "lid_near", "effective_rank"),
    against=(
        "lid_mle",
        "effective_rank",
    ),
)
def local(case: Case) -> Graded | Missing:
    now = case.now
    if not now.has("lid_mle", "effective_rank"):
        return Missing("at least 50 distinct images, with a spread that stands clear of rounding")
    dimension, rank = now["lid_mle"], now["effective_rank"]
    # Where groups of images are small, 20 neighbours reach into the next group: then only the closest tell.
    flat = case.severity("local/dimension", max(dimension, now.get("lid_near", 0.0)))
    apart = case.severity("local/rank-to-dimension", rank / dimension)
    change, rank_change = case.to_start("lid_mle"), case.to_start("effective_rank")
    if change is not None and rank_change is not None:
        # Learning alone lowers the dimension from that of noise to that of the data: the level must be low as well.
        fallen = case.severity("local/dimension-to-start", change)
        apart = max(apart, min(fallen, case.severity("local/rank-to-start", rank_change)))
    severity = min(flat, apart)
    return Graded(
        severity,
        f"local intrinsic dimension {dimension:.2g}{case.at_start('lid_mle')}, "
        f"effective rank {rank:.3g}{case.at_start('effective_rank')}",
    )
