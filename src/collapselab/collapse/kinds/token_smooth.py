"""All tokens of an image are equal."""

from __future__ import annotations

from collapselab.collapse.kind import Case, Graded, Missing, kind


@kind(
    what="All tokens of an image give the same output: the map is flat.",
    measured="Two-way analysis of variance of the token outputs: the share of variance inside an image is near 0.",
    looks_like="Attention and token maps are flat; dense tasks fail while image-level ones still work.",
    causes=(
        "depth: attention averages tokens, layer after layer (over-smoothing)",
        "a loss on the pooled vector alone, trained long",
    ),
    remedies=(
        "a token-level loss beside the image-level one",
        "registers, fewer layers, or features from an earlier layer",
    ),
    sources=(
        "Wang et al. 2022, arXiv 2203.05962 (anti-oversmoothing in vision transformers)",
        "Darcet et al. 2024, arXiv 2309.16588",
    ),
    reads=("token_within_share",),
    against=("token_within_share",),
)
def token_smooth(case: Case) -> Graded | Missing:
    now = case.now
    if not now.has("token_within_share"):
        return Missing("token outputs, [images, positions, dimensions]")
    within = now["token_within_share"]
    severity = case.severity("token-smooth/within", within)
    change = case.to_start("token_within_share")
    if case.initial and change is not None:
        severity = min(severity, case.severity("token-smooth/within-to-start", change))
    return Graded(severity, f"{within:.2g} of token variance lies inside images{case.at_start('token_within_share')}")
