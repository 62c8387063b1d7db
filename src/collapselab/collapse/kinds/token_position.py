"""Tokens differ by position, not by image."""

from __future__ import annotations

from collapselab.collapse.kind import Case, Graded, Missing, kind


@kind(
    what="A token's output says where it stands, not what the image shows there.",
    measured=(
        "Two-way analysis of variance of the token outputs: the share that position alone does not explain is near 0. Drawn "
        "position embeddings dominate an untrained network too: with that as the reference, training must have lowered the rest."
    ),
    looks_like="Maps of the tokens look alike for all images; pooled features gain up to T - 1 directions that no image put there.",
    causes=(
        "a token loss that the position alone can satisfy",
        "position embeddings much larger than the patches' own",
    ),
    remedies=(
        "smaller position embeddings, or a target that differs between images at one position",
        "augment or mask so that student and teacher don't share positions",
    ),
    sources=(
        "two-way analysis of variance; see also Amir et al. 2022, arXiv 2112.05814 (positional bias of ViT features)",
    ),
    reads=("token_position_share", "position_information"),
    against=("token_position_share",),
)
def token_position(case: Case) -> Graded | Missing:
    now = case.now
    if not now.has("token_position_share"):
        return Missing("token outputs, [images, positions, dimensions]")
    rest = max(0.0, 1 - now["token_position_share"])
    severity = case.severity("token-position/rest", rest)
    if case.initial and case.start.has("token_position_share"):
        before = max(1e-12, 1 - case.start["token_position_share"])
        severity = min(severity, case.severity("token-position/rest-to-start", rest / before))
    evidence = (
        f"position explains {now['token_position_share']:.3g} of token variance{case.at_start('token_position_share')}"
    )
    if now.has("position_information"):
        evidence += f"; once it is known, the softmax tells {now['position_information']:.2g} nats about the image"
    return Graded(severity, evidence)
