"""Which values of a rollout are an environment's fault."""

from __future__ import annotations

import torch
from gymnasium import spaces

from acexp.algorithm.faults import Steps, first_faults, is_sound
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
