"""The settings that every algorithm has, and the registry of the group."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from acexp.core.annealing import Schedule, require_schedule
from acexp.core.distributions import Distribution
from acexp.core.errors import UserError, require
from acexp.core.losses import Objective
from acexp.core.registry import Registry
from acexp.core.settings import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class A2CConfig:
    """Settings of A2C, which every algorithm has. The config of your own may inherit from it and add fields.

    Attributes:
        name: Name of the algorithm in OBJECTIVES.
        n_envs: N, the number of environments of the run.
        n_steps: T, the number of steps in a rollout.
        gamma: Discount factor.
        gae_lambda: Lambda of generalized advantage estimation; 1 gives n-step returns, lower values rely more on the
            critic.
        entropy_coef: Weight of the entropy bonus in the first update.
        entropy_anneal: Schedule of that weight over the run's `total_steps`: `none`, `linear` or `cosine`.
        entropy_final_share: The share of that weight that is left at the end of its schedule.
        value_coef: Weight of the critic's loss in a joint loss.
        normalize_advantage: Whether advantages are normalized to mean 0 and standard deviation 1 in each rollout.
    """

    name: str = setting("a2c", since=2)
    n_envs: int = 8
    n_steps: int = 5
    gamma: float = setting(0.99, per_member=True)
    gae_lambda: float = setting(1.0, per_member=True)
    entropy_coef: float = setting(0.0, per_member=True)
    entropy_anneal: str = "none"
    entropy_final_share: float = setting(0.0, since=2)
    value_coef: float = setting(0.5, per_member=True)
    normalize_advantage: bool = False

    def __post_init__(self) -> None:
        require(self.n_envs >= 1, "A run has at least one environment.", "n_envs", self.n_envs)
        require(self.n_steps >= 1, "A rollout has at least one step.", "n_steps", self.n_steps)
        require(0.0 <= self.gamma <= 1.0, "A discount lies in [0, 1].", "gamma", self.gamma)
        require(0.0 <= self.gae_lambda <= 1.0, "Lambda lies in [0, 1].", "gae_lambda", self.gae_lambda)
        require(
            0.0 <= self.entropy_coef < math.inf,
            "The weight of the entropy bonus is 0 or more, and finite.",
            "entropy_coef",
            self.entropy_coef,
        )
        require_schedule(self.entropy_anneal, self.entropy_final_share, "entropy_")
        require(
            0.0 <= self.value_coef < math.inf,
            "The weight of the critic's loss is 0 or more, and finite.",
            "value_coef",
            self.value_coef,
        )
        if self.normalize_advantage and self.n_envs * self.n_steps == 1:
            raise UserError(
                "An advantage that is normalized among itself alone is 0, and the actor would learn nothing.",
                key="normalize_advantage",
                value=True,
                remedy="set algo.normalize_advantage=false, or algo.n_envs or algo.n_steps to 2 or more",
            )

    def schedules(self) -> dict[str, Schedule]:
        """Return the schedule of each coefficient that has one, by its name among the members' hyperparameters."""
        return {"entropy_coef": Schedule(self.entropy_anneal, self.entropy_final_share)}

    def smallest(self) -> A2CConfig:
        """Return these settings with rollouts as small as possible, with which a run is built to see whether it can be.

        There are two environments, since some cannot exist twice, for instance because each takes the same port.
        """
        return replace(self, n_envs=min(self.n_envs, 2), n_steps=1, normalize_advantage=False)


Builder = Callable[[Sequence[A2CConfig], Distribution, torch.device], Objective]
OBJECTIVES: Registry[Builder] = Registry("algo", A2CConfig)
"""Builders take one config per member. These differ at most in the settings that are declared `per_member`."""
