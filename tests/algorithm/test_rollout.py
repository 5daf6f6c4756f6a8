"""Rollouts of real environments, and of one whose numbers are known in advance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from acexp.algorithm.assembly import assemble, resolve
from acexp.algorithm.estimate import estimate
from acexp.algorithm.update import update
from acexp.config import RunConfig
from acexp.core.arrays import Array, as_tensor
from acexp.core.types import Rollout
from tests.helpers import snapshot


class Countdown(gym.Env[Any, Any]):
    """Observes how many steps are left, pays 10, 20, ... for each, and ends after `length` steps."""

    observation_space = gym.spaces.Box(-1.0, 1000.0, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, length: int = 3, truncates: bool = False) -> None:
        self.length, self.truncates, self.t = length, truncates, 0

    def _observe(self) -> np.ndarray[Any, Any]:
        return np.array([self.length - self.t], np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        self.t = 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.t += 1
        over = self.t == self.length
        return self._observe(), 10.0 * self.t, over and not self.truncates, over and self.truncates, {}


gym.register("Countdown-v0", Countdown)


def collect(config: RunConfig, n: int) -> list[Rollout]:
    """Some rollouts in a row, each as a clone in tensors: the next one reuses its memory."""
    rollouts = []
    with assemble([resolve(config)]) as population:
        for _ in range(n):
            rollout = population.collector.collect()
            rollouts.append(
                Rollout(*(as_tensor(x).clone() if isinstance(x, Array) else x for x in rollout))._replace(
                    observations=tuple(as_tensor(leaf).clone() for leaf in rollout.observations)
                )
            )
    return rollouts


def test_reset_slots_are_invalid_and_carry_over_to_the_next_rollout(config: Callable[..., RunConfig]) -> None:
    # Episodes of 3 steps and a reset slot: a cycle of 4, cut by rollouts of 3.
    first, second, third = collect(
        config("env=gym", "env.id=Countdown-v0", "algo.n_envs=1", "algo.n_steps=3", "normalizer=none"), 3
    )
    assert first.observations[0].flatten().tolist() == [3, 2, 1, 0]
    assert first.rewards.flatten().tolist() == [10, 20, 30]
    assert first.terminated.flatten().tolist() == [False, False, True]
    assert first.valid.flatten().tolist() == [True, True, True]
    assert [tuple(episode) for episode in first.episodes] == [(0, 60.0, 3, {})]

    assert second.observations[0].flatten().tolist() == [0, 3, 2, 1]
    assert second.rewards.flatten().tolist() == [0, 10, 20]
    assert second.valid.flatten().tolist() == [False, True, True]
    assert second.episodes == ()

    assert third.observations[0].flatten().tolist() == [1, 0, 3, 2]
    assert third.valid.flatten().tolist() == [True, False, True]
    assert [tuple(episode) for episode in third.episodes] == [(0, 60.0, 3, {})]


def test_truncation_is_kept_apart_from_termination(config: Callable[..., RunConfig]) -> None:
    settings = ("env=gym", "env.id=Countdown-v0", "+env.kwargs.truncates=true", "algo.n_envs=1", "algo.n_steps=3")
    (rollout,) = collect(config(*settings), 1)
    assert rollout.truncated.flatten().tolist() == [False, False, True]
    assert not rollout.terminated.any()


def test_an_invalid_slot_changes_neither_parameters_nor_statistics(config: Callable[..., RunConfig]) -> None:
    """Whatever stands in a reset slot, its ignored action and its reward, must not matter to the update."""
    settings = ("env=gym", "env.id=Countdown-v0", "algo.n_envs=1", "algo.n_steps=8", "normalizer=running")
    settings += ("reward_normalizer=return_std",)
    results = []
    for garbage in (0.0, 1e6):
        with assemble(
            [resolve(config(*settings, "optim.algorithm=sgd", "algo.normalize_advantage=true"))]
        ) as population:
            rollout = population.collector.collect()
            assert rollout.valid.flatten().tolist() == [True, True, True, False] * 2
            rollout.rewards[~rollout.valid] = garbage
            rollout.actions[~rollout.valid] = int(garbage > 0)
            batch, evaluation = estimate(population, rollout)
            update(population, batch, evaluation, 0.0)
            results.append(
                {**snapshot(population), **population.observe.state(), **population.reward_normalizer.state()}
            )
    for name, tensor in results[0].items():
        assert torch.equal(tensor, results[1][name]), name


def test_blackjacks_many_reset_slots_are_left_out(config: Callable[..., RunConfig]) -> None:
    """42% of its slots are resets: one after every end, and nowhere else."""
    (rollout,) = collect(config("env=gym", "env.id=Blackjack-v1", "algo.n_envs=8", "algo.n_steps=200"), 1)
    done = rollout.terminated | rollout.truncated
    assert torch.equal(~rollout.valid[1:], done[:-1])
    assert rollout.valid[0].all()
    assert 0.35 < float((~rollout.valid).float().mean()) < 0.5
    assert (rollout.rewards[~rollout.valid] == 0).all()
    assert sum(episode.length for episode in rollout.episodes) <= int(rollout.valid.sum())
    assert len(rollout.episodes) == int(done.sum())


def test_a_members_environments_stand_next_to_each_other(config: Callable[..., RunConfig]) -> None:
    alone = collect(config("seed=5", "algo.n_envs=3", "env=gym", "env.id=CartPole-v1"), 1)[0]
    with assemble(
        [resolve(config(f"seed={s}", "algo.n_envs=3", "env=gym", "env.id=CartPole-v1")) for s in (4, 5)]
    ) as both:
        together = both.collector.collect()
    assert torch.equal(as_tensor(together.observations[0])[:, 1], alone.observations[0][:, 0])
    assert torch.equal(as_tensor(together.actions)[:, 1], alone.actions[:, 0])


def test_atari_learns_from_clipped_rewards_and_reports_raw_ones(config: Callable[..., RunConfig]) -> None:
    settings = ("env=gym", "env.id=ALE/SpaceInvaders-v5", "algo.n_envs=4", "algo.n_steps=200")
    rollouts = collect(config(*settings), 4)
    assert max(float(rollout.rewards.max()) for rollout in rollouts) == 1.0
    returns = [episode.episode_return for rollout in rollouts for episode in rollout.episodes]
    assert returns
    assert max(returns) >= 50.0
