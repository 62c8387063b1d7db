"""The contrastive loss that SimCLR and DirectCLR share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent(z1: Tensor, z2: Tensor, temperature: float, *, negatives: bool = True) -> dict[str, Tensor]:
    """NT-Xent over the 2N views z1, z2 [N, d] of a batch (Chen et al. 2020, equation 1), and its two terms.

    Without negatives the denominator is left out: attraction alone.
    """
    z1, z2 = F.normalize(z1, dim=-1), F.normalize(z2, dim=-1)
    attraction = -(z1 * z2).sum(-1).mean() / temperature
    if not negatives:
        return {"loss": attraction, "attraction": attraction}
    repulsion = log_denominator(torch.cat([z1, z2]), temperature)
    return {"loss": attraction + repulsion, "attraction": attraction, "repulsion": repulsion}


def log_denominator(z: Tensor, temperature: float) -> Tensor:
    """Mean over i of log sum over k != i of exp(<z_i, z_k> / temperature), for unit rows z [2N, d]."""
    similarity = z @ z.T / temperature
    return similarity.fill_diagonal_(-torch.inf).logsumexp(-1).mean()
