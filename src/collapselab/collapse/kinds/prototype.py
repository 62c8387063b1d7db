"""Prototypes duplicate each other, or only a few are used."""

from __future__ import annotations

import math

from collapselab.collapse.kind import Case, Graded, Missing, kind

NEED_WEIGHTS = "the weights of the prototypes, to see whether they duplicate each other"


@kind(
    what="Of all prototypes only a few are used, or many are copies of one another.",
    measured=(
        "Used prototypes exp h(mean p) over min(K, N), and, where the weights are known, prototypes left once those of one "
        "direction are merged. Used prototypes read K under a uniform collapse; with one used for everything the kind is one-hot."
    ),
    looks_like="The loss is low and stable; the histogram of assignments has a few bars.",
    causes=(
        "assignments that nothing balances, or a centre with too long a memory",
        "more prototypes than the data can tell apart",
    ),
    remedies=("balance assignments over the batch", "spread the prototypes (a KoLeo term), or take fewer of them"),
    sources=(
        "Caron et al. 2021, arXiv 2104.14294",
        "Govindarajan et al. 2024, arXiv 2410.14060 (partial prototype collapse)",
    ),
    reads=("used_prototypes", "log_k", "softmax_images", "distinct_prototypes"),
)
def prototype(case: Case) -> Graded | Missing:
    now = case.now
    if not now.has("used_prototypes", "log_k", "softmax_images"):
        return Missing("the softmax probabilities of the images, at the loss's own temperature and centre")
    k = round(math.exp(now["log_k"]))
    attainable = min(k, now["softmax_images"])
    used = now["used_prototypes"]
    few = case.severity("prototype/used", used / attainable) if used >= 1.5 else 0.0
    evidence = f"{used:.3g} of {k} prototypes are used by {now['softmax_images']:.0f} images"
    if not now.has("distinct_prototypes"):
        return Graded(few, evidence, open=NEED_WEIGHTS)
    distinct = now["distinct_prototypes"]
    copies = case.severity("prototype/distinct", distinct / k)
    return Graded(max(few, copies), f"{evidence}; {distinct:.0f} of them point in directions of their own")
