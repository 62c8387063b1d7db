"""A few points, with little variance within."""

from __future__ import annotations

from collapselab.collapse.kind import Case, Graded, Missing, kind


@kind(
    what="Images fall onto a few points, and differ hardly from others at the same point.",
    measured=(
        "Ward's clustering of at most 2,000 images, without those thrown far out: variance within clusters over total "
        "variance, at the number of clusters where the cost of a merge jumps most. Both must speak: little variance within, "
        "and a jump that no continuous cloud has. With labels it says whether the clusters are the classes."
    ),
    looks_like="Distances have two scales; spectra show as many large eigenvalues as clusters, less one, over a low floor.",
    causes=(
        "labels, or pseudo-labels, fitted to the end: neural collapse, harmless in a supervised run",
        "hard assignments with too few prototypes, or a temperature too low",
        "shortcuts: the clusters are sensors, borders or backgrounds",
    ),
    remedies=(
        "look at images of one cluster: what do they share?",
        "if the clusters are the classes of a supervised run, nothing needs mending",
        "more prototypes, a softer assignment, augmentation that destroys the shortcut",
    ),
    sources=("Papyan et al. 2020, arXiv 2008.08186 (neural collapse)", "Ward 1963, JASA 58"),
    reads=("clusters", "cluster_within", "cluster_jump", "cluster_purity"),
)
def cluster(case: Case) -> Graded | Missing:
    now = case.now
    if not now.has("clusters", "cluster_within", "cluster_jump"):
        return Missing("features whose spread stands clear of rounding, of at least 20 images")
    severity = min(
        case.severity("cluster/within", now["cluster_within"]), case.severity("cluster/jump", now["cluster_jump"])
    )
    evidence = f"{now['clusters']:.0f} clusters with {now['cluster_within']:.2g} of the variance inside them"
    if now["clusters"] < 2 or case.severity("cluster/jump", now["cluster_jump"]) == 0:
        evidence = "one cloud, no separate clusters"
    elif now.has("cluster_purity"):
        purity = now["cluster_purity"]
        evidence += f"; {'they are the classes' if purity > 0.9 else 'they are not the classes'} (adjusted Rand index {purity:.2f})"
    return Graded(severity, evidence)
