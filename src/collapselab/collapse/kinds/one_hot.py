"""The softmax says the same class for everything."""

from __future__ import annotations

from collapselab.collapse.kind import Case, Graded, Missing, kind


@kind(
    what="The softmax puts all its mass on one prototype, the same for every image.",
    measured=(
        "Entropy of the softmax an image near 0, and one prototype that takes all mass over all images, at the method's own "
        "temperature and centre. The logits may keep full rank: the saturated softmax passes no gradient that could change it."
    ),
    looks_like="A softmax distillation loss falls to exactly 0 and stays; spectra of the logits look as at initialisation.",
    causes=(
        "no centering, with a teacher sharper than the student",
        "a teacher that gradients reach",
    ),
    remedies=(
        "center the teacher's logits (or balance assignments: Sinkhorn-Knopp), and check the centre's momentum",
        "stop the gradient at the teacher; raise the teacher's temperature during warm-up",
    ),
    sources=("Caron et al. 2021, arXiv 2104.14294, section 5.3 and figure 7",),
    reads=("mean_entropy", "marginal_entropy", "log_k", "top_prototype_share"),
)
def one_hot(case: Case) -> Graded | Missing:
    now = case.now
    if not now.has("mean_entropy", "marginal_entropy", "log_k", "top_prototype_share"):
        return Missing("the softmax probabilities of the images, at the loss's own temperature and centre")
    severity = min(
        case.severity("one-hot/mean-entropy", now["mean_entropy"]),
        case.severity("one-hot/rest", 1 - now["top_prototype_share"]),
    )
    return Graded(
        severity,
        f"softmax entropy {now['mean_entropy']:.2g} an image and {now['marginal_entropy']:.2g} over all images, "
        f"of at most {now['log_k']:.3g}; one prototype takes {now['top_prototype_share']:.3g} of all mass",
    )
