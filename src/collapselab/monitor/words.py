"""What a monitor has to say to a person: of batches that it could not read, of the features it sees, and all of it together."""

from __future__ import annotations

from collections.abc import Iterable

from collapselab.collapse.signatures import Signature
from collapselab.monitor.warned import Warned, tell

NOT_FINITE = "NaN, infinity or numbers too large to square"
INPUTS = {"view": "the other view", "probabilities": "the softmax"}  # by a reading's parts, as they are told


class Words:
    """Tells of a fault once, when it first comes, and again in every report.

    Args:
        layer: its name in sentences.
        mode: of the network, as the user says.
    """

    def __init__(self, layer: str, mode: str) -> None:
        self._layer, self._mode = layer, mode
        self._told_skipped = False
        # By a reading's part, the step of the first reading in which it was not finite.
        self._unread: dict[str, int] = {}

    def tell_skipped(self, step: int) -> None:
        """Of the first batch that was left out."""
        if not self._told_skipped:
            self._told_skipped = True
            tell(f"{self._layer}: {NOT_FINITE} at step {step}: such batches are left out; find what made them")

    def tell_unread(self, part: str, step: int) -> None:
        """Of the first reading that had to do without a part."""
        if part not in self._unread:
            self._unread[part] = step
            tell(f"{self._layer}: {self._without(part)}; find what made them")

    def report(
        self,
        warned: Iterable[Warned],
        signatures: Iterable[Signature],
        step: int,
        skipped: tuple[int, int] | None,
        gradient: bool,
    ) -> str:
        """Lines: what was named and when, what was left out, what the loss says, and what these features are.

        Args:
            step: the last one seen.
            skipped: how many batches were left out, and the first one's step; None where none was.
            gradient: whether some batch carried gradients.
        """
        named = [f"{one}{'' if one.standing else ' (no longer)'}" for one in warned]
        lines = named or [f"{self._layer}: no collapse was named up to step {step}"]
        if skipped:
            count, first = skipped
            lines.append(f"{self._layer}: {count} batches left out, with {NOT_FINITE}, the first at step {first}")
        lines += [f"{self._layer}: {self._without(part)}" for part in self._unread]
        lines += [f"{self._layer}: the loss hints at {s.kind} collapse: {s.sentence}" for s in signatures]
        return "\n".join([*lines, f"{self._layer}: {self.seen(gradient)}"])

    def seen(self, gradient: bool) -> str:
        """What the features are, with a doubt where gradients speak against the mode that was said."""
        if self._mode == "eval":
            doubt = ", though it carries gradients" if gradient else ""
            return f"these are said to be eval-mode features{doubt}"
        doubt = "" if gradient else "; none carried a gradient: if the network was in eval mode, say mode='eval'"
        return (
            "these are train-mode features: batch statistics, dropout and augmentation add variance that no image put there, so "
            f"ranks and spreads read higher than in eval mode{doubt}"
        )

    def _without(self, part: str) -> str:
        return f"NaN or infinity in {INPUTS[part]}, first at step {self._unread[part]}: such readings do without it"
