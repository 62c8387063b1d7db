"""The weighted line through a spectrum in log-log coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from collapselab.collapse.evidence import Evidence

LEAST = 3  # eigenvalues: through two, a line always fits


@dataclass(frozen=True)
class PowerLaw:
    """lambda_i ~ i^-exponent; `fit` is the weighted R^2, None where the spectrum is flat."""

    exponent: float
    fit: float | None

    @classmethod
    def of(cls, evidence: Evidence) -> PowerLaw | None:
        """Through all eigenvalues that stand clear of rounding; None where the spread does not, or fewer than LEAST do."""
        if not evidence.resolved or evidence.spectrum.resolved < LEAST:
            return None
        count = evidence.spectrum.resolved
        rank = np.arange(1, count + 1, dtype=np.float64)
        weights = 1 / rank / (1 / rank).sum()
        x, y = np.log(rank), np.log(evidence.spectrum.eigenvalues[:count])
        x, y = x - weights @ x, y - weights @ y
        slope = float(weights @ (x * y) / (weights @ x**2))
        total = float(weights @ y**2)
        left = float(weights @ (y - slope * x) ** 2)
        return cls(-slope, 1 - left / total if total > 1e-20 else None)
