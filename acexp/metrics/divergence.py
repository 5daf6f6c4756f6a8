"""What was no longer finite, and when."""

from __future__ import annotations

from typing import NamedTuple

from acexp.core.types import UpdateStatistics

LEARNED_FROM = {
    "policy": "the actor's output",
    "values": "the critic's output",
    "advantages": "an advantage",
}
"""The tensors of a batch in the order in which they come about, in words."""


class AllDiverged(Exception):
    """No member is left whose numbers are finite."""


class Divergence(NamedTuple):
    """The end of a member's training.

    Attributes:
        what: was not finite.
        step: env steps of the member at the end of that update.
    """

    what: str
    step: int

    def __str__(self) -> str:
        return f"{self.what} is not finite at env step {self.step:,}"


def culprit(update: UpdateStatistics, member: int) -> str:
    """The first tensor of an update that was not finite for a member that was stopped by it."""
    for name, words in LEARNED_FROM.items():
        if not getattr(update.batch, name)[member].isfinite().all():
            return words
    for group in update.norms:
        for module, norm in zip(group.modules, group.before[member].tolist(), strict=True):
            if not norm < float("inf"):
                return f"the gradient of the {group.group} loss by the {module}'s parameters"
    return "a gradient"
