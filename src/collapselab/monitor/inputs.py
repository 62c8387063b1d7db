"""What may be given to a monitor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from collapselab.collapse.kind import KINDS
from collapselab.errors import UserError

WIDEST = 8192  # channels: the running covariance of so many takes 256 MiB


def check_options(
    mode: str,
    temperature: float,
    limits: Mapping[str, float],
    counts: Iterable[tuple[str, int, int]],
    prototypes: Iterable[int],
) -> None:
    """Raises UserError that names the option. counts: (name, value, least)."""
    if not isinstance(prototypes, Iterable) or isinstance(prototypes, str):
        raise UserError(f"CollapseMonitor: prototypes = {prototypes}: must be several numbers, or one in a tuple")
    for name, value, least in [*counts, *(("prototypes", count, 2) for count in prototypes)]:
        if not isinstance(value, int) or value < least:
            raise UserError(f"CollapseMonitor: {name} = {value}: must be a whole number of at least {least}")
    if not temperature > 0:
        raise UserError(f"CollapseMonitor: temperature = {temperature}: must be above 0")
    if mode not in ("train", "eval"):
        raise UserError(f"CollapseMonitor: mode = {mode!r}: must be 'train' or 'eval'")
    if unknown := set(limits) - set(KINDS):
        raise UserError(f"CollapseMonitor: limits: {', '.join(sorted(unknown))}: kinds are {', '.join(KINDS)}")
    for kind, limit in limits.items():
        if not limit > 0:
            raise UserError(f"CollapseMonitor: limits: {kind} = {limit}: must be above 0, 1 being the declared one")


def check_batch(embedding: Tensor, view: Tensor | None, logits: Tensor | None, probabilities: Tensor | None) -> None:
    """Raises UserError where shapes don't fit, from shapes alone: no value is looked at."""
    for name, given in (("embedding", embedding), ("view", view), ("logits", logits), ("probabilities", probabilities)):
        if not isinstance(given, Tensor) and (given is not None or name == "embedding"):
            raise UserError(f"{name} must be a tensor, not {type(given).__name__}")
    if embedding.ndim != 2 or not embedding.is_floating_point():
        raise UserError(
            f"an embedding must be [images, dimensions] of floats, not {list(embedding.shape)} of {embedding.dtype}: "
            "pool tokens and maps, one vector an image"
        )
    if embedding.shape[1] > WIDEST:
        raise UserError(
            f"{embedding.shape[1]} dimensions are more than {WIDEST}: watch the layer before, and give these as logits"
        )
    if view is not None and view.shape != embedding.shape:
        raise UserError(
            f"the other view must be of the embedding's shape {list(embedding.shape)}, not {list(view.shape)}"
        )
    for name, p in (("logits", logits), ("probabilities", probabilities)):
        if p is not None and (p.ndim != 2 or len(p) != len(embedding) or p.shape[1] < 2):
            raise UserError(f"{name} must be [{len(embedding)}, prototypes], not {list(p.shape)}")
