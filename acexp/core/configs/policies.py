"""The settings of policies."""

from __future__ import annotations

from dataclasses import dataclass

from acexp.core.errors import UserError

STDS = ("parameter", "network")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyConfig:
    """The settings of every policy. The config of your own may inherit from it and add fields.

    Attributes:
        name: Name of the policy in POLICIES.
        std: Where the standard deviations of continuous actions come from: `parameter`, the same in every state, or
            `network`, outputs of the actor's last layer. They begin at exp(arch.log_std_init).
    """

    name: str = "auto"
    std: str = "parameter"

    def __post_init__(self) -> None:
        if self.std not in STDS:
            raise UserError(
                f"Standard deviations cannot come from {self.std!r}.", key="std", value=self.std, choices=STDS
            )
