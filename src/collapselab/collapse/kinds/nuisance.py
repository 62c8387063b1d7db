"""Spread, but by augmentation rather than by image."""

from __future__ import annotations

from collapselab.collapse.kind import Case, Graded, Missing, kind


@kind(
    what="Features are spread, but by how an image was augmented rather than by which image it is.",
    measured=(
        "Between-image over within-view variance, corrected for the number of views, near 0. It depends on the augmentation: "
        "a good network reads 1 to 2.4, an untrained one .2 to 1.2, so the threshold lies far below, and with the network's "
        "start as the reference training must have lowered it."
    ),
    looks_like="Ranks and std are healthy, k-NN is not; LiDAR reads about d, since it is blind to the size of the signal.",
    causes=(
        "the invariance term is off or too weak: embeddings are decorrelated, and nothing else",
        "augmentation so strong that no content survives",
    ),
    remedies=("raise the weight of invariance", "look at the previews: can you still tell which image it is?"),
    sources=("Thilak et al. 2023, arXiv 2312.04000 (LiDAR)", "one-way random-effects analysis of variance"),
    reads=("variance_ratio",),
    against=("variance_ratio",),
)
def nuisance(case: Case) -> Graded | Missing:
    now = case.now
    if not now.has("variance_ratio"):
        return Missing("augmented views of the images, [images, views, dimensions]")
    ratio = now["variance_ratio"]
    severity = case.severity("nuisance/view-ratio", ratio)
    if case.initial and case.start.has("variance_ratio") and case.start["variance_ratio"] > 0:
        change = ratio / case.start["variance_ratio"]
        severity = min(severity, case.severity("nuisance/view-ratio-to-start", change))
    return Graded(
        severity,
        f"between-image over within-view variance {ratio:.2g}{case.at_start('variance_ratio')}, corrected for q",
    )
