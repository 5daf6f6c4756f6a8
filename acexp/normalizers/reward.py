"""Reward scaling for learning; the returns of episodes are always sums of raw rewards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from acexp.core.arrays import Array, as_float32, at_least, at_most, library, like, put
from acexp.core.configs.normalizers import RewardNormalizerConfig
from acexp.core.registry import Registry
from acexp.core.returns import discounted_returns
from acexp.core.statistics import initial_moments, merge
from acexp.core.statistics import put as put_moments

CLIP_AT = 10.0
EPSILON = 1e-8


class RewardNormalizer(Protocol):
    """The interface of a reward normalizer, built as `RewardNormalizer(n_members, n_envs, gamma, config, device)`."""

    def __call__(self, rewards: Tensor, done: Tensor, valid: Tensor) -> Tensor:
        """Return the scaled rewards for learning.

        Args:
            rewards: Raw rewards, float32 `[T, M, N]`, which are not changed.
            done: Whether the step terminated or truncated an episode, bool `[T, M, N]`.
            valid: Which slots are valid, bool `[T, M, N]`; rewards of the others are meaningless.

        Returns:
            The scaled rewards, float32 `[T, M, N]`.
        """

    def state(self) -> dict[str, Tensor]:
        """Return the learned tensors, `[M, ...]` each: not copies, so that they can be restored in place."""


Builder = Callable[[int, int, Tensor, RewardNormalizerConfig, torch.device], RewardNormalizer]
REWARD_NORMALIZERS: Registry[Builder] = Registry("reward_normalizer", RewardNormalizerConfig)


@REWARD_NORMALIZERS.register("none")
class Raw:
    """Rewards without normalization."""

    in_numpy = True

    def __init__(
        self, n_members: int, n_envs: int, gamma: Tensor, config: RewardNormalizerConfig, device: torch.device
    ) -> None:
        pass

    def __call__(self, rewards: Array, done: Array, valid: Array) -> Array:
        return rewards

    def state(self) -> dict[str, Tensor]:
        return {}


@REWARD_NORMALIZERS.register("return_std")
class ReturnStd:
    """Rewards divided by the running standard deviation of the discounted return, clipped at 10.

    The statistics are updated with the rollout's own returns first, as in OpenAI Baselines' VecNormalize.
    """

    in_numpy = True

    def __init__(
        self, n_members: int, n_envs: int, gamma: Tensor, config: RewardNormalizerConfig, device: torch.device
    ) -> None:
        self._gamma = gamma
        self._moments = initial_moments(n_members, (), device)
        self._running_return = torch.zeros(n_members, n_envs, device=device)

    def __call__(self, rewards: Array, done: Array, valid: Array) -> Array:
        gamma, running_return = like(rewards, self._gamma, self._running_return)
        rewards = library(rewards).where(valid, rewards, 0.0)
        sums, running = discounted_returns(rewards, done, gamma, running_return)
        put(running_return, running)
        moments = merge(self._moments, _rows(sums), _rows(valid))
        put_moments(self._moments, moments)
        scale = as_float32((moments.variance + EPSILON) ** -0.5)
        return at_most(at_least(rewards * scale.reshape(1, -1, 1), -CLIP_AT), CLIP_AT)

    def state(self) -> dict[str, Tensor]:
        return {**self._moments._asdict(), "running_return": self._running_return}


def _rows(x: Array) -> Array:
    """Return one row per member: `[T, M, N]` -> `[M, T * N]`."""
    return x.swapaxes(0, 1).reshape(x.shape[1], -1)
