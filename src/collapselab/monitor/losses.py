"""The loss's last steps, kept on the device, and what they say."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from collapselab.collapse.signatures import COMMON, Signature, read
from collapselab.errors import UserError

LONGEST = 500  # steps that are kept; a signature must hold over the last fifth of them
SETTLED = 25  # steps before the loss is read: every loss begins somewhere


class Losses:
    """The loss and its terms over the last LONGEST steps."""

    def __init__(self) -> None:
        self._steps: deque[dict[str, Tensor]] = deque(maxlen=LONGEST)

    def add(self, given: Tensor | float | Mapping[str, Tensor | float]) -> None:
        """Copies, for a loop may write each loss into the same memory. Raises UserError for one that is no single number."""
        terms = given if isinstance(given, Mapping) else {"loss": given}
        values = {str(name): torch.as_tensor(value).detach().clone() for name, value in terms.items()}
        for name, value in values.items():
            if value.numel() != 1:
                raise UserError(f"{name} must be a single number, not of shape {list(value.shape)}: give its mean")
        self._steps.append(values)

    def signatures(self, prototypes: Iterable[int]) -> list[Signature]:
        """Hints alone, for a loss may also sit where it does for a good reason; none in the first steps.

        `prototypes`: numbers K whose ln K the loss is compared with; none given: those of public configurations.
        """
        if len(self._steps) < SETTLED:
            return []
        names = sorted({name for terms in self._steps for name in terms})
        return read({name: self._curve(name) for name in names}, tuple(prototypes) or COMMON)

    def _curve(self, name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        values = torch.stack([terms[name].float().reshape(()) for terms in self._steps if name in terms])
        return np.asarray(values.cpu().numpy(), dtype=np.float64)
