"""The cross-entropy of softmax outputs that token distillation and DINO share."""

from __future__ import annotations

import torch
from torch import Tensor


def cross_entropy(teacher: Tensor, student: Tensor) -> dict[str, Tensor]:
    """H(p_t, p_s) = h(p_t) + KL(p_t, p_s), averaged over all but the prototypes.

    Args:
        teacher: probabilities [..., K].
        student: logits over its temperature [..., K].
    """
    loss = -(teacher * student.log_softmax(-1)).sum(-1).mean()
    entropy = -torch.special.xlogy(teacher, teacher).sum(-1).mean().detach()
    return {"loss": loss, "teacher_entropy": entropy, "kl": loss.detach() - entropy}
