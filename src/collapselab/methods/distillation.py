"""What token distillation and DINO share: the cross-entropy of softmax outputs, and the guards of its targets."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from collapselab.methods.base import Guard

centering = Guard(
    "centering",
    parameter="centering",
    off=False,
    expected={"student.logits": ["one-hot"], "teacher.logits": ["one-hot"]},
    source="Caron et al. 2021, section 5.3 and figure 7: with sharpening and without centering the entropy falls to 0",
)


def sharpening(parameter: str, off: Any) -> Guard:
    """The guard, which each method switches off by a parameter of its own."""
    return Guard(
        "sharpening",
        parameter=parameter,
        off=off,
        expected={"student.logits": ["uniform"], "teacher.logits": ["uniform"]},
        source="Caron et al. 2021, section 5.3 and figure 7: with centering and without sharpening the entropy rises to ln K",
    )


def cross_entropy(teacher: Tensor, student: Tensor) -> dict[str, Tensor]:
    """H(p_t, p_s) = h(p_t) + KL(p_t, p_s), averaged over all but the prototypes.

    Args:
        teacher: probabilities [..., K].
        student: logits over its temperature [..., K].
    """
    loss = -(teacher * student.log_softmax(-1)).sum(-1).mean()
    entropy = -torch.special.xlogy(teacher, teacher).sum(-1).mean().detach()
    return {"loss": loss, "teacher_entropy": entropy, "kl": loss.detach() - entropy}
