"""The settings of algorithms."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from acexp.core.annealing import Schedule, require_schedule
from acexp.core.errors import UserError, require
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PPOConfig(A2CConfig):
    """Settings of PPO, which are those of A2C and these; advantages are normalized in each minibatch, if at all.

    Attributes:
        epochs: How often an update learns from each slot of its rollout.
        minibatches: The number of parts of equal size into which each epoch splits the rollout at random.
        clip_range: The largest change of an action's probability ratio that is rewarded, in both directions.
        clip_anneal: Schedule of the clip range over the run's `total_steps`: `none`, `linear` or `cosine`.
        clip_final_share: The share of the clip range that is left at the end of its schedule.
        clip_values: Whether the change of a value in one update is clipped to clip_range as well.
        target_kl: Approximate KL divergence from the policy that collected the rollout, at which an update ends early;
            None for no limit.
    """

    epochs: int = setting(4, since=2)
    minibatches: int = setting(4, since=2)
    clip_range: float = setting(0.2, per_member=True, since=2)
    clip_anneal: str = setting("none", since=2)
    clip_final_share: float = setting(0.0, since=2)
    clip_values: bool = setting(False, since=2)
    target_kl: float | None = setting(None, since=2)

    def __post_init__(self) -> None:
        A2CConfig.__post_init__(self)
        require(self.epochs >= 1, "An update has at least one epoch.", "epochs", self.epochs)
        require(self.minibatches >= 1, "An epoch has at least one minibatch.", "minibatches", self.minibatches)
        require(
            0.0 < self.clip_range < math.inf,
            "The clip range is above 0, and finite.",
            "clip_range",
            self.clip_range,
        )
        require_schedule(self.clip_anneal, self.clip_final_share, "clip_")
        require(
            self.target_kl is None or 0.0 < self.target_kl < math.inf,
            "The KL divergence at which an update ends is above 0 and finite, or null.",
            "target_kl",
            self.target_kl,
        )
        n_slots = self.n_envs * self.n_steps
        if n_slots % self.minibatches:
            raise UserError(
                f"A rollout of {self.n_steps} steps x {self.n_envs} environments cannot be split into "
                f"{self.minibatches} equal minibatches.",
                key="minibatches",
                value=self.minibatches,
                remedy=f"choose a number that divides {n_slots}, or other algo.n_steps and algo.n_envs",
            )
        if self.normalize_advantage and n_slots == self.minibatches:
            raise UserError(
                "An advantage that is normalized among itself alone is 0, and the actor would learn nothing.",
                key="minibatches",
                value=self.minibatches,
                remedy="set algo.normalize_advantage=false, or choose fewer minibatches",
            )

    def schedules(self) -> dict[str, Schedule]:
        return {**A2CConfig.schedules(self), "clip_range": Schedule(self.clip_anneal, self.clip_final_share)}

    def smallest(self) -> A2CConfig:
        return replace(self, n_envs=min(self.n_envs, 2), n_steps=1, normalize_advantage=False, minibatches=1)
