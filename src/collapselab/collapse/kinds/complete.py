"""All inputs map to one vector."""

from __future__ import annotations

from collapselab.collapse.kind import Case, Graded, Missing, kind


@kind(
    what="Every image gives the same vector, up to the noise of augmentation or of the floats.",
    measured=(
        "Three medians against the same network at random initialisation, all of which must have fallen: between-image over "
        "within-view variance, a typical image's distance from the middle of all, and the spread of directions; where the loss "
        "compares cosines alone, lengths are free and all three are of unit vectors. Medians, "
        "because batch norm throws a few images far out and lets every mean look healthy. Without any reference: spread "
        "under 4 units in the last place of the floats, or nearly all images in one tight point."
    ),
    looks_like=(
        "The loss falls to its minimum within tens of steps (SimSiam: -1), normalised std to 0; the shape of the spectrum, "
        "and so every rank, may look perfectly healthy."
    ),
    causes=(
        "no stop-gradient, or no predictor, in a method that relies on it (SimSiam, BYOL)",
        "no repulsion: a variance term, negatives or redundancy reduction that is off or too weak",
        "a predictor whose learning rate decays or is too small",
    ),
    remedies=(
        "check that the target branch is detached and that the predictor sits on one branch only",
        "raise the weight of the term that keeps embeddings apart (variance, negatives)",
        "look at the very first steps: a rate without warm-up can collapse before the guard acts",
    ),
    sources=("Chen and He 2021, arXiv 2011.10566, section 4.1 and figure 2", "Jing et al. 2022, arXiv 2110.09348"),
    reads=(
        "resolution",
        "tight_share",
        "median_variance_ratio",
        "median_distance",
        "direction_spread",
    ),
    against=(
        "median_variance_ratio",
        "median_distance",
        "direction_spread",
    ),
)
def complete(case: Case) -> Graded | Missing:
    now = case.now
    ulp = case.thresholds["complete/ulp"]
    if now["resolution"] < ulp.full:
        return Graded(1.0, "all images give the same vector, up to the rounding of its floats")
    tight = now.get("tight_share", 0.0)
    point = case.severity("complete/tight-share", tight)
    if now.has("median_variance_ratio"):
        # Views can show that the images in the point are well apart: then it is the others that are odd.
        point = min(point, case.severity("complete/view-ratio", now["median_variance_ratio"]))
    seen = f"{tight:.0%} of the images lie in one tight point, the rest far outside"
    medians = ("median_variance_ratio", "median_distance", "direction_spread")
    ratio, distance, direction = (case.to_start(name) for name in medians)
    fallen = None
    if distance is not None and direction is not None and now.has(medians[0]):
        # Where the reference has no views the ratio is read as it is.
        apart = ("complete/view-ratio", now[medians[0]]) if ratio is None else ("complete/view-ratio-to-start", ratio)
        fallen = min(
            case.severity(*apart),
            case.severity("complete/distance-to-start", distance),
            case.severity("complete/direction-to-start", direction),
        )
    if point > (fallen or 0.0):
        return Graded(point, seen)
    if fallen is not None and (ratio is not None or fallen > 0):
        return Graded(fallen, _medians(case, medians))
    if now["resolution"] < ulp.none:
        return Missing("subtract the mean before saving, or save float64: the spread is near the floats' rounding")
    return Missing(_supply(case))


def _medians(case: Case, names: tuple[str, ...]) -> str:
    told = (
        "median between-image over within-view variance",
        "median distance from the middle of all images",
        "median 1 - cosine to the common direction",
    )
    pairs = list(zip(told, names, strict=True))
    return ", ".join(f"{words} {case.now[name]:.2g}{case.at_start(name)}" for words, name in (*pairs[1:], pairs[0]))


def _supply(case: Case) -> str:
    needs = []
    if not case.now.has("median_variance_ratio"):
        needs.append("augmented views of the images")
    if not case.start:
        needs.append("the same network at initialisation as the reference")
    elif not case.start.has("median_variance_ratio"):
        needs.append("augmented views of the reference")
    return " and ".join(needs) or "views that differ from each other"
