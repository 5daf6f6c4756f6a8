"""The engine for tabular environments against Gymnasium's own: the same numbers, random ones included."""

from __future__ import annotations

import numpy as np
import pytest

from acexp.core.errors import UserError
from acexp.engines import EngineConfig, EnvironmentConfig, choose_engine, open_engine

CASES = {
    "CliffWalking": EnvironmentConfig(id="CliffWalking-v1", max_episode_steps=50),
    "CliffWalking without a limit": EnvironmentConfig(id="CliffWalking-v1"),
    "slippery": EnvironmentConfig(id="CliffWalkingSlippery-v1", max_episode_steps=30),
    "slippery by kwargs": EnvironmentConfig(id="CliffWalking-v1", kwargs={"is_slippery": True}),
    "FrozenLake": EnvironmentConfig(id="FrozenLake-v1"),
    "a map with two starts": EnvironmentConfig(id="FrozenLake-v1", kwargs={"desc": ["SFS", "HFF", "FFG"]}),
    "8x8, dry": EnvironmentConfig(id="FrozenLake8x8-v1", kwargs={"is_slippery": False}),
}


@pytest.mark.parametrize("environment", CASES.values(), ids=CASES)
def test_trajectories_equal_gymnasiums(environment: EnvironmentConfig) -> None:
    seeds = [50 + 3 * i for i in range(20)]
    ours = open_engine(environment, seeds, EngineConfig(name="tabular"))
    theirs = open_engine(environment, seeds, EngineConfig(name="gymnasium"))
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert np.array_equal(ours.reset(), theirs.reset())
    rng = np.random.default_rng(1)
    ended = 0
    for _ in range(300):
        actions = rng.integers(0, 4, len(seeds))
        step, expected = ours.step(actions), theirs.step(actions)
        for field in ("observation", "reward", "terminated", "truncated"):
            value, wanted = getattr(step, field), getattr(expected, field)
            assert value.dtype == wanted.dtype, field
            assert np.array_equal(value, wanted), field
        ended += int((step.terminated | step.truncated).sum())
    assert ended > 5 or environment.max_episode_steps is None
    assert np.array_equal(ours.reset(), theirs.reset())
    ours.close()
    theirs.close()


def test_the_shortest_way_along_the_cliff_pays_13() -> None:
    """Up, eleven times right, down; the step after is a reset, whatever the action."""
    engine = open_engine(CASES["CliffWalking"], [0], EngineConfig(name="tabular"))
    assert engine.reset().tolist() == [36]
    steps = [engine.step(np.array([action])) for action in (0, *[1] * 11, 2)]
    assert sum(float(step.reward[0]) for step in steps) == -13.0
    assert [bool(step.terminated[0]) for step in steps] == [False] * 12 + [True]
    after = engine.step(np.array([3]))
    assert (after.observation[0], after.reward[0], after.terminated[0]) == (36, 0.0, False)


def test_it_is_taken_for_tables_alone() -> None:
    assert choose_engine(CASES["FrozenLake"], EngineConfig()).name == "tabular"
    for other in ("Taxi-v4", "CartPole-v1", "Blackjack-v1"):
        with pytest.raises(UserError, match="CliffWalking and FrozenLake only"):
            choose_engine(EnvironmentConfig(id=other), EngineConfig(name="tabular"))
