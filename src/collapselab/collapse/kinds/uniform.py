"""The softmax says nothing."""

from __future__ import annotations

from collapselab.collapse.kind import Case, Graded, Missing, kind


@kind(
    what="The softmax gives every prototype the same mass, for every image: it says nothing.",
    measured=(
        "Entropy of the softmax near ln K and mutual information of image and prototype near 0, corrected for N. Any head "
        "with small logits looks so at initialisation: with that as the reference, training must have closed the gap."
    ),
    looks_like="The loss sits at ln K: 8.3178 for 4,096 prototypes, 11.0904 for 65,536, 12.4766 for 262,144.",
    causes=(
        "centering without sharpening: the teacher's temperature is not below the student's",
        "a learning rate or initial scale so small that the head never leaves its start",
        "a centre that lags behind, or an EMA teacher that never moves",
    ),
    remedies=(
        "lower the teacher's temperature below the student's, or slow the centre down",
        "check that gradients reach the head, and that the teacher is updated",
    ),
    sources=("Caron et al. 2021, arXiv 2104.14294, section 5.3 and figure 7",),
    reads=("mean_entropy", "mutual_information", "log_k"),
    against=("mean_entropy", "log_k"),
)
def uniform(case: Case) -> Graded | Missing:
    now, start = case.now, case.start
    if not now.has("mean_entropy", "mutual_information", "log_k"):
        return Missing("the softmax probabilities of the images, at the loss's own temperature and centre")
    gap = max(0.0, 1 - now["mean_entropy"] / now["log_k"])
    severity = min(
        case.severity("uniform/gap", gap),
        case.severity("uniform/information", now["mutual_information"] / now["log_k"]),
    )
    evidence = f"softmax entropy {now['mean_entropy']:.4g} an image, of at most {now['log_k']:.4g}"
    if case.initial and start.has("mean_entropy", "log_k"):
        before = 1 - start["mean_entropy"] / start["log_k"]
        # Where the head starts uniform there is no gap to close: then staying so is the evidence.
        severity = min(severity, case.severity("uniform/gap-to-start", gap / before if before > 1e-6 else 0.0))
        evidence += f" ({start['mean_entropy']:.4g} {case.where})"
    elif severity > 0:
        evidence += "; an untrained head looks the same, a reference at initialisation tells them apart"
    return Graded(severity, evidence)
