"""The learning rate over a run, as a study names it. The schedules of moving averages are in methods/momentum.py."""

from __future__ import annotations

import math

from collapselab.config.training import Schedule
from collapselab.methods.base import Progress


def learning_rate(peak: float, schedule: Schedule, progress: Progress) -> float:
    """The rate of the step that `progress.step` names, counted from 0: linear warm-up from 0, then half a cosine to 0."""
    warmup = schedule.warmup * progress.steps
    if progress.step < warmup:
        return peak * (progress.step + 1) / math.ceil(warmup)
    if schedule.decay == "constant":
        return peak
    place = (progress.step - warmup) / max(1.0, progress.steps - warmup)
    return peak * (1 + math.cos(math.pi * place)) / 2
