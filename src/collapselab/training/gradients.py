"""Gradient norm and signal-to-noise of each weight layer, averaged over the last steps: the cause of what features show later.

With g the gradient of the loss by a layer's trainable parameters at one step and E an average over steps,

    norm = sqrt(E ||g||^2),    signal-to-noise = (||E g||^2 - r E ||g||^2) / (E ||g||^2 - ||E g||^2), 0 where that is negative:

the squared length of what the steps agree on, over the variance around it. E g keeps the share r of the variance, r the sum of
the squared weights of the average; without the correction, noise alone would read r / (1 - r), 1.0 at step 2. It is the inverse of
McCandlish et al.'s simple noise scale tr(Sigma) / |G|^2 (arXiv 1812.06162, appendix A.1, unbiased there too) for gradients of one
batch, with E over steps in place of over batches at fixed weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from collapselab.errors import UserError

DECAY = 0.9  # weight of a step in the averages, as a fraction of the next step's: collapse takes tens of steps, so few count
# Noise below this share of E ||g||^2 is left out: it is the difference of two sums of float32 values, each good to about 1e-6.
RESOLVED = 1e-4


class GradientStatistics:
    """Averages of one method's gradients, a step at a time: mean = DECAY mean + (1 - DECAY) value, corrected for its start at 0.

    Costs one copy of the trainable parameters; reads gradients and changes nothing that training reads.

    Attributes:
        layers: dotted names of the modules that own trainable parameters directly, in the order of the network.
    """

    def __init__(self, method: nn.Module) -> None:
        trained = {name: parameter for name, parameter in method.named_parameters() if parameter.requires_grad}
        self._parameters = list(trained.values())
        self._means = {name: torch.zeros_like(parameter) for name, parameter in trained.items()}
        self._squares = torch.zeros(len(trained), device=self._parameters[0].device)  # E ||g||^2, [parameters]
        self._owners = [name.rpartition(".")[0] or "method" for name in trained]
        self.layers = list(dict.fromkeys(self._owners))
        self._step = torch.zeros((), dtype=torch.int64, device=self._squares.device)

    @property
    def step(self) -> int:
        """Updates so far."""
        return int(self._step)

    @torch.no_grad()
    def update(self) -> None:
        """Take in the gradients that lie at the parameters; one without a gradient counts as zero."""
        gradients = [
            parameter.new_zeros(()).expand_as(parameter) if parameter.grad is None else parameter.grad
            for parameter in self._parameters
        ]
        torch._foreach_lerp_(list(self._means.values()), gradients, 1 - DECAY)
        self._squares.lerp_(torch.stack(torch._foreach_norm(gradients)).square_(), 1 - DECAY)
        self._step += 1

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a snapshot holds: `gradient/norm/<layer>` and `gradient/snr/<layer>`, [1] float64.

        Nothing before the first step. A layer whose gradients overflow float32 is left out, and its signal-to-noise where the
        noise is below RESOLVED: at the first step, which is its own average, and where every gradient is the same or zero.
        """
        if not self.step:
            return {}
        started = 1 - DECAY**self.step
        lengths = torch.stack(torch._foreach_norm(list(self._means.values()))).cpu().double().numpy() / started
        squares = self._squares.cpu().double().numpy() / started
        kept = (1 - DECAY) * (1 + DECAY**self.step) / ((1 + DECAY) * started)  # r above
        owners = np.array(self._owners)
        found: dict[str, float] = {}
        for layer in self.layers:
            own = owners == layer
            signal, square = float((lengths[own] ** 2).sum()), float(squares[own].sum())
            if not math.isfinite(square):
                continue
            found[f"gradient/norm/{layer}"] = math.sqrt(square)
            if square - signal > RESOLVED * square:
                found[f"gradient/snr/{layer}"] = max(0.0, signal - kept * square) / (square - signal)
        return {key: np.array([value]) for key, value in found.items()}

    def state(self) -> dict[str, Tensor]:
        """All that `restore` needs to go on with the same bits, by names that files can hold; the tensors are not copied."""
        means = {f"mean/{name}": mean for name, mean in self._means.items()}
        return means | {"square": self._squares, "step": self._step}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from another's `state()`. Raises UserError where it is of other parameters."""
        own = self.state()
        if {name: value.shape for name, value in state.items()} != {name: value.shape for name, value in own.items()}:
            raise UserError("the stored averages of gradients are of another network than this one")
        for name, value in own.items():
            value.copy_(state[name])
