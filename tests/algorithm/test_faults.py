"""Which values of a rollout are an environment's fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from acexp.algorithm.assembly import assemble, resolve
from acexp.algorithm.estimate import estimate
from acexp.algorithm.faults import Steps, first_faults, is_sound
from acexp.algorithm.update import update
from acexp.config import RunConfig
from acexp.core.arrays import as_tensor
from acexp.core.observations import leaves_of

LEAVES = leaves_of(spaces.Dict(speed=spaces.Box(-1.0, 1.0, (2,)), room=spaces.Discrete(3, start=1)))
SPEED, ROOM = (next(i for i, leaf in enumerate(LEAVES) if name in leaf.path) for name in ("speed", "room"))


def steps() -> Steps:
    """Three steps of two members with two environments each, in which nothing is wrong."""
    observations = [torch.zeros(4, 2, 2, 2), torch.ones(4, 2, 2, dtype=torch.int64)]
    if SPEED:
        observations.reverse()
    is_reset = torch.zeros(4, 2, 2, dtype=torch.bool)
    is_reset[0] = True
    return Steps(tuple(observations), torch.zeros(3, 2, 2, dtype=torch.float64), torch.zeros(3, 2, 2, 1), is_reset)


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    right = steps()
    assert is_sound(LEAVES, right.observations, right.rewards.numpy())
    assert first_faults(LEAVES, right) == []


def test_large_numbers_are_no_fault() -> None:
    """Their sum is infinite, although none of them is."""
    large = steps()
    large.rewards[:] = 3e38
    large.observations[SPEED][:] = 3e38
    assert not is_sound(LEAVES, large.observations, large.rewards.numpy())
    assert first_faults(LEAVES, large) == []


def test_the_first_fault_of_each_member_is_found() -> None:
    wrong = steps()
    wrong.rewards[1, 0, 1] = torch.nan  # the reward of the step that leads to the third observation
    wrong.observations[SPEED][3, 0, 0, 1] = torch.inf
    wrong.observations[ROOM][2, 1, 0] = 4
    assert not is_sound(LEAVES, wrong.observations, wrong.rewards.numpy())
    first, second = first_faults(LEAVES, wrong)
    assert (first.row, first.member, first.env) == (2, 0, 1)
    assert first.problem == "step() returned the reward nan; a reward is one finite number, of at most 3.4e+38"
    assert (second.row, second.member, second.env) == (2, 1, 0)
    assert second.problem.startswith("step() returned the observation['room'] array(4")


def test_the_first_observation_is_that_of_a_reset() -> None:
    wrong = steps()
    wrong.observations[SPEED][0, 1, 1] = torch.nan
    (fault,) = first_faults(LEAVES, wrong)
    assert fault.problem.startswith("reset() returned the observation['speed'] array([nan, nan]")


def test_a_policy_that_diverged_is_not_the_environments_fault() -> None:
    """What an environment answers to an action beyond all measure says nothing about it."""
    for action in (torch.nan, torch.inf, 1e20):
        diverged = steps()
        diverged.actions[0, 0, 0] = action
        diverged.observations[SPEED][1, 0, 0] = torch.nan
        assert first_faults(LEAVES, diverged) == []


@pytest.mark.parametrize("wrong", [-1, 48])
@pytest.mark.parametrize("at", [0, 4], ids=["that the policy reads", "that only the critic reads"])
@pytest.mark.parametrize("network", ["in numpy", "in torch", "rows"])
def test_an_observation_out_of_range_costs_its_member_alone(
    config: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch, network: str, at: int, wrong: int
) -> None:
    """In a rollout of five steps, the last observation is that from which the critic bootstraps."""
    if network == "rows":
        monkeypatch.setattr("acexp.core.observations.LONG_ONE_HOT", 1)
    settings = ("env=cliffwalking", "algo.n_steps=5", "algo.n_envs=2", f"arch.layer_norm={network == 'in torch'}")
    with assemble([resolve(config(*settings, f"seed={seed}")) for seed in range(3)]) as population:
        engine, n = population.collector.engine, iter(range(5))
        step = engine.step

        def faulty(actions: Any) -> Any:
            found = step(actions)
            observation = np.array(found.observation)
            if next(n) == at:
                observation[3] = wrong
            return found._replace(observation=observation)

        monkeypatch.setattr(engine, "step", faulty)
        rollout = population.collector.collect()
        assert isinstance(rollout.rewards, np.ndarray) == (network == "in numpy")
        assert [(fault.member, fault.slot) for fault in rollout.faults] == [(1, at * 2 + 2)]
        population.learning[1] = False
        (statistics,) = update(population, *estimate(population, rollout), 0.0)
    assert statistics.learning.tolist() == [True, False, True]
    assert as_tensor(statistics.norms[0].before).isfinite().all()
