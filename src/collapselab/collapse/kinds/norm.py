"""Outputs shrink to zero or blow up."""

from __future__ import annotations

from collapselab.collapse.kind import Case, Graded, Missing, kind


@kind(
    what="Outputs shrink towards zero or blow up, compared with the network's own start.",
    measured="Mean squared norm against random initialisation, both ways on a logarithmic scale.",
    looks_like="Losses on raw vectors sink with the norms; a cosine loss sees nothing until gradients vanish or overflow.",
    causes=(
        "weight decay against a loss that does not look at size (cosine)",
        "a regression loss whose easiest answer is the zero vector",
        "a learning rate too high, without normalisation at the output",
    ),
    remedies=(
        "normalise where the loss acts, or exclude the last layer from weight decay",
        "lower the learning rate, or clip the gradient",
    ),
    sources=("Bardes et al. 2022, arXiv 2105.04906: the variance term keeps the norm from vanishing",),
    reads=("mean_squared_norm",),
    against=("mean_squared_norm",),
)
def norm(case: Case) -> Graded | Missing:
    change = case.to_start("mean_squared_norm")
    if change is None:
        return Missing("the same network at initialisation as the reference")
    severity = max(case.severity("norm/shrunk", change), case.severity("norm/grown", change))
    return Graded(
        severity,
        f"mean squared norm {case.now['mean_squared_norm']:.2g}{case.at_start('mean_squared_norm')}, a factor {change:.2g}",
    )
