"""Features live in a low-dimensional subspace."""

from __future__ import annotations

import math

from collapselab.collapse.kind import Case, Graded, Missing, kind


@kind(
    what="Features vary along a few directions only; the others carry nothing.",
    measured=(
        "Directions that are dead: below the rounding of the floats, or behind a drop of the covariance spectrum that no "
        "healthy power law has, with next to no variance behind it. The drop must show in the spectrum of the features and "
        "in that of their directions from the median, so that a few outliers can't feign it. Beside it the effective rank "
        "against that of the steepest healthy power law. Directions that were dead at initialisation (LayerNorm, a "
        "bottleneck) don't count. Every rank is read beside its ceiling min(N - 1, d)."
    ),
    looks_like="The log spectrum ends in a cliff; the embedding falls first, the representation often stays whole.",
    causes=(
        "strong augmentation: along directions where it varies more than the data, weights vanish",
        "implicit regularisation: projectors of several layers drive small singular values out",
        "covariance or variance weights too small (VICReg, Barlow Twins); too few negatives (contrastive)",
    ),
    remedies=(
        "look at the representation: a collapsed embedding over a whole representation is what healthy SimCLR shows",
        "weaken the augmentation that the dead directions describe, or let the loss act on a part of the features (DirectCLR)",
        "raise the decorrelation weight, widen the projector",
    ),
    sources=("Jing et al. 2022, arXiv 2110.09348, figure 2 and sections 4 and 5", "Hua et al. 2021, arXiv 2105.00470"),
    reads=(
        "resolution",
        "live_directions",
        "rank_ceiling",
        "spectral_drop",
        "tail_share",
        "directional_drop",
        "directional_tail",
        "resolved_directions",
        "rank_to_power_law",
        "directional_rank_to_power_law",
        "effective_rank",
    ),
    against=(
        "live_directions",
        "resolved_directions",
        "rank_ceiling",
        "rank_to_power_law",
        "directional_rank_to_power_law",
        "directional_rank_to_power_law",
        "effective_rank",
    ),
)
def dimensional(case: Case) -> Graded | Missing:
    now = case.now
    if not now.has("effective_rank", "rank_ceiling"):
        return Missing("features whose spread stands clear of rounding: below it every spectrum is noise")
    if now["resolution"] < case.thresholds["complete/ulp"].none:
        return Missing("subtract the mean before saving, or save float64: the spread is near the floats' rounding")
    ceiling = now["rank_ceiling"]
    unresolved = _dead(case, "resolved_directions")
    behind = min(
        _dead(case, "live_directions"),
        case.severity("dimensional/drop", math.exp(now["spectral_drop"])),
        case.severity("dimensional/tail", now["tail_share"]),
        case.severity("dimensional/directional-drop", math.exp(now["directional_drop"])),
        case.severity("dimensional/directional-tail", now["directional_tail"]),
    )
    low = min(_low(case, "rank_to_power_law"), _low(case, "directional_rank_to_power_law"))
    severity = max(unresolved, behind, low)
    alive = now["resolved_directions"] if unresolved >= behind else now["live_directions"]
    rank = f"effective rank {now['effective_rank']:.3g} of at most {ceiling:.0f}{case.at_start('effective_rank')}"
    if severity > 0 and severity > low:
        share = "" if unresolved >= behind else f" (they hold {now['tail_share']:.2g} of the variance)"
        return Graded(severity, f"{ceiling - alive:.0f} of {ceiling:.0f} directions carry nothing{share}; {rank}")
    return Graded(severity, f"{rank}; no drop in the spectrum leaves dead directions behind")


def _low(case: Case, metric: str) -> float:
    """Severity by a rank; as steep a spectrum as at initialisation was not brought about by training."""
    if not case.now.has(metric):
        return 0.0
    severity = case.severity("dimensional/rank-to-power-law", case.now[metric])
    if case.initial and case.start.has(metric):
        change = case.now[metric] / min(1.0, max(1e-9, case.start[metric]))
        severity = min(severity, case.severity("dimensional/rank-to-power-law", change))
    return severity


def _dead(case: Case, metric: str) -> float:
    """Severity by the share of attainable directions behind `metric`, less those that were dead at initialisation."""
    ceiling = case.now["rank_ceiling"]
    known = case.initial and case.start.has("rank_ceiling", metric)
    # One direction dies by construction where vectors sum to a constant: LayerNorm, softmax.
    born = max(1.0, case.start["rank_ceiling"] - case.start[metric]) if known else 1.0
    dead = max(0.0, ceiling - case.now[metric] - born)
    return case.severity("dimensional/dead-share", dead / max(1.0, ceiling - born))
