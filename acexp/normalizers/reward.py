"""Reward scaling for learning; episodes are always counted in raw rewards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from acexp.core.registry import Registry
from acexp.core.returns import discounted_returns
from acexp.core.statistics import initial_moments, merge, put

CLIP_AT = 10.0
EPSILON = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardNormalizerConfig:
    """Which reward normalizer."""

    name: str


class RewardNormalizer(Protocol):
    """Scales a rollout's rewards. Built as `RewardNormalizer(n_members, n_envs, gamma, config, device)`."""

    def __call__(self, rewards: Tensor, done: Tensor, valid: Tensor) -> Tensor:
        """Scaled rewards for learning.

        Args:
            rewards: float32 `[T, M, N]`, not changed.
            done: terminated or truncated, bool `[T, M, N]`.
            valid: bool `[T, M, N]`; rewards of the other slots mean nothing.

        Returns:
            float32 `[T, M, N]`.
        """

    def state(self) -> dict[str, Tensor]:
        """What was learned, `[M, ...]` each: the tensors themselves, so that they can be put back."""


Builder = Callable[[int, int, Tensor, RewardNormalizerConfig, torch.device], RewardNormalizer]
REWARD_NORMALIZERS: Registry[Builder] = Registry("reward_normalizer", RewardNormalizerConfig)


@REWARD_NORMALIZERS.register("none")
class Raw:
    """Rewards as they are."""

    def __init__(
        self, n_members: int, n_envs: int, gamma: Tensor, config: RewardNormalizerConfig, device: torch.device
    ) -> None:
        pass

    def __call__(self, rewards: Tensor, done: Tensor, valid: Tensor) -> Tensor:
        return rewards

    def state(self) -> dict[str, Tensor]:
        return {}


@REWARD_NORMALIZERS.register("return_std")
class ReturnStd:
    """Rewards divided by the running standard deviation of the discounted return, clipped at 10.

    The scale is taken after the rollout's own returns have been counted, as in OpenAI Baselines' VecNormalize.
    """

    def __init__(
        self, n_members: int, n_envs: int, gamma: Tensor, config: RewardNormalizerConfig, device: torch.device
    ) -> None:
        self._gamma = gamma
        self._moments = initial_moments(n_members, (), device)
        self._running_return = torch.zeros(n_members, n_envs, device=device)

    def __call__(self, rewards: Tensor, done: Tensor, valid: Tensor) -> Tensor:
        rewards = torch.where(valid, rewards, 0.0)
        sums, running = discounted_returns(rewards, done, self._gamma, self._running_return)
        self._running_return.copy_(running)
        put(self._moments, merge(self._moments, sums.transpose(0, 1).flatten(1), valid.transpose(0, 1).flatten(1)))
        scale = (self._moments.variance + EPSILON).rsqrt().to(rewards.dtype)
        return (rewards * scale.view(1, -1, 1)).clamp_(-CLIP_AT, CLIP_AT)

    def state(self) -> dict[str, Tensor]:
        return {**self._moments._asdict(), "running_return": self._running_return}
