"""The values of a member that stopped being finite, and the env step at which they did."""

from __future__ import annotations

from typing import NamedTuple

from acexp.core.arrays import as_tensor
from acexp.core.types import UpdateStatistics

LEARNED_FROM = {
    "policy": "the actor's output",
    "values": "the critic's output",
    "advantages": "an advantage",
}
"""A description of each tensor of a batch that is checked, in the order in which they are computed."""


class Divergence(NamedTuple):
    """The reason why a member's training ended early: a value that was not finite.

    Attributes:
        what: a description of the value, or the fault of an environment in words.
        step: the env steps of the member at the end of the update in which it was found.
        is_environments: whether an environment returned the value, so that no setting is to blame.
    """

    what: str
    step: int
    is_environments: bool = False

    def __str__(self) -> str:
        return f"{self.what} is not finite at env step {self.step:,}"


def culprit(update: UpdateStatistics, member: int) -> str:
    """Return a description of the first tensor of an update that was not finite for a member that diverged in it."""
    for name, description in LEARNED_FROM.items():
        if not as_tensor(getattr(update.batch, name))[member].isfinite().all():
            return description
    for group in update.norms:
        for module, norm in zip(group.modules, group.before[member].tolist(), strict=True):
            if not norm < float("inf"):
                return f"the gradient of the {group.group} loss with respect to the {module}'s parameters"
    return "a gradient"
