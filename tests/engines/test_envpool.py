"""envpool against Gymnasium: the same spaces, limits and rules, and the same distributions under fixed policies."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from numpy.typing import NDArray

from acexp.core.errors import UserError
from acexp.engines import ENGINES, EngineConfig, EnvironmentConfig, Step, choose_engine, open_engine
from acexp.system.packages import is_installed

pytestmark = pytest.mark.skipif(not is_installed("envpool"), reason="envpool is an extra")

CLIFF = EnvironmentConfig(id="CliffWalking-v1", max_episode_steps=40)
LANDER = EnvironmentConfig(id="LunarLander-v3")
CARTPOLE = EnvironmentConfig(id="CartPole-v1")
PONG = EnvironmentConfig(id="PongNoFrameskip-v4")
Policy = Callable[[NDArray[Any], np.random.Generator], NDArray[Any]]


def uniform(n: int) -> Policy:
    return lambda observation, rng: rng.integers(0, n, len(observation))


def descend(observation: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Fire the main engine while falling fast, else steer upright: it lands at times."""
    falling = observation[:, 3] < -0.2
    return np.where(falling, 2, np.where(observation[:, 4] > 0.1, 3, np.where(observation[:, 4] < -0.1, 1, 0)))


def lean(observation: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Push under the falling pole, with some noise."""
    return np.where(rng.random(len(observation)) < 0.2, rng.integers(0, 2, len(observation)), observation[:, 2] > 0)


def episodes(
    environment: EnvironmentConfig, engine: str, policy: Policy, n_envs: int, n_steps: int, n_each: float = math.inf
) -> NDArray[np.float64]:
    """Return and length of every environment's first episodes, an equal number of each so that none is favoured.

    It ends after some steps, or once every environment has ended `n_each` episodes.
    """
    opened = open_engine(environment, list(range(1, n_envs + 1)), EngineConfig(name=engine, threads=2))
    observation, rng = np.array(opened.reset()), np.random.default_rng(11)
    returns, lengths = np.zeros(n_envs), np.zeros(n_envs)
    done = np.zeros(n_envs, bool)
    finished: list[list[tuple[float, float]]] = [[] for _ in range(n_envs)]
    for _ in range(n_steps):
        step = opened.step(policy(observation, rng))
        assert (step.reward[done] == 0).all()
        assert not (step.terminated | step.truncated)[done].any()
        returns += step.reward
        lengths += ~done
        done = step.terminated | step.truncated
        for e in np.flatnonzero(done):
            finished[e].append((returns[e], lengths[e]))
            returns[e] = lengths[e] = 0.0
        if min(map(len, finished)) >= n_each:
            break
        observation = np.array(step.observation)
    opened.close()
    common = int(min(n_each, *map(len, finished)))
    assert common >= 1
    return np.array([episode for each in finished for episode in each[:common]])


def same_distribution(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """A two-sided Kolmogorov-Smirnov test at 0.1%, by its asymptotic bound."""
    grid = np.sort(np.concatenate((a, b)))
    distance = np.abs(
        np.searchsorted(np.sort(a), grid, "right") / len(a) - np.searchsorted(np.sort(b), grid, "right") / len(b)
    ).max()
    return bool(distance < 1.95 * np.sqrt((len(a) + len(b)) / (len(a) * len(b))))


CASES = {
    "CliffWalking, uniform": (CLIFF, uniform(4), 32, 1300),
    "CartPole, uniform": (CARTPOLE, uniform(2), 64, 600),
    "CartPole, leaning": (CARTPOLE, lean, 64, 1500),
    "LunarLander, uniform": (LANDER, uniform(4), 64, 700),
    "LunarLander, descending": (LANDER, descend, 64, 1100),
    "Pong, uniform": (PONG, uniform(6), 32, 1500),
}


@pytest.mark.long
@pytest.mark.parametrize(("environment", "policy", "n_envs", "n_steps"), CASES.values(), ids=CASES)
def test_returns_and_lengths_are_distributed_as_gymnasiums(
    environment: EnvironmentConfig, policy: Policy, n_envs: int, n_steps: int
) -> None:
    # One episode of Pong takes a thousand steps.
    engine, n_each = ("ale", 1) if environment is PONG else ("gymnasium", math.inf)
    ours = episodes(environment, "envpool", policy, n_envs, n_steps, n_each)
    theirs = episodes(environment, engine, policy, n_envs, n_steps, n_each)
    assert min(len(ours), len(theirs)) >= 32
    assert same_distribution(ours[:, 0], theirs[:, 0]), (ours[:, 0].mean(), theirs[:, 0].mean())
    assert same_distribution(ours[:, 1], theirs[:, 1]), (ours[:, 1].mean(), theirs[:, 1].mean())


def test_the_comparison_can_fail() -> None:
    """LunarLander's two policies are distinguished by the same number of episodes."""
    a = episodes(LANDER, "envpool", uniform(4), 64, 300)
    b = episodes(LANDER, "envpool", descend, 64, 1100)
    assert not same_distribution(a[:, 0], b[:, 0])


@pytest.mark.parametrize("environment", [CLIFF, LANDER, CARTPOLE, PONG], ids=lambda e: e.id)
def test_the_spaces_are_gymnasiums(environment: EnvironmentConfig) -> None:
    ours = open_engine(environment, [1, 2], EngineConfig(name="envpool", threads=1))
    theirs = open_engine(environment, [1, 2], EngineConfig(name="gymnasium"))
    assert (ours.observation_space, ours.action_space) == (theirs.observation_space, theirs.action_space)
    assert ours.reset().shape == theirs.reset().shape
    ours.close()
    theirs.close()


@pytest.mark.parametrize(("environment_id", "limit"), [("CliffWalking-v1", 7), ("LunarLander-v3", 9)])
def test_a_time_limit_truncates_and_a_reset_slot_follows(environment_id: str, limit: int) -> None:
    """CliffWalking's limit is not envpool's own: there, environments are reset one by one."""
    engine = open_engine(
        EnvironmentConfig(id=environment_id, max_episode_steps=limit), [1, 2, 3], EngineConfig(name="envpool")
    )
    first = np.array(engine.reset())
    steps: list[Step] = []
    for _ in range(2 * limit + 2):
        step = engine.step(np.zeros(3, np.int64))
        steps.append(Step(*(np.array(field) for field in step)))
    ended = [step.truncated.tolist() for step in steps]
    assert ended == ([[False] * 3] * (limit - 1) + [[True] * 3] + [[False] * 3]) * 2
    assert not any(step.terminated.any() for step in steps)
    assert (steps[limit].reward == 0).all()
    if environment_id == "CliffWalking-v1":
        assert np.array_equal(steps[limit].observation, first)
    else:
        assert (np.abs(steps[limit].observation[:, 1] - 1.4) < 0.1).all()
    engine.close()


def test_environments_that_end_apart_are_reset_apart() -> None:
    """Walking off the cliff's side by different ways: each environment's own limit, goal and reset."""
    limited = EnvironmentConfig(id="CliffWalking-v1", max_episode_steps=15)
    engine = open_engine(limited, [1, 2], EngineConfig(name="envpool", threads=1))
    single = [gym.make("CliffWalking-v1", max_episode_steps=15) for _ in range(2)]
    expected = np.array([env.reset()[0] for env in single])
    assert np.array_equal(engine.reset(), expected)
    # The first walks up, eleven to the right and down to the goal, again and again; the second walks up for ever.
    route = [0, *[1] * 11, 2]
    at, done = [0, 0], [False, False]
    for _ in range(60):
        actions = np.array([route[at[0] % len(route)], 0])
        step = engine.step(actions)
        for i, env in enumerate(single):
            if done[i]:
                wanted: tuple[Any, ...] = (env.reset()[0], 0.0, False, False)
                at[i] = 0
            else:
                wanted = env.step(int(actions[i]))[:4]
                at[i] += 1
            got = (step.observation[i], step.reward[i], step.terminated[i], step.truncated[i])
            assert got == wanted
            done[i] = bool(wanted[2] or wanted[3])
    engine.close()


def test_auto_takes_it_where_it_is_known_to_be_equal() -> None:
    for environment in (LANDER, CARTPOLE):
        assert choose_engine(environment, EngineConfig()).name == "envpool"
    assert choose_engine(EnvironmentConfig(id="Acrobot-v1"), EngineConfig()).name == "gymnasium"
    assert choose_engine(EnvironmentConfig(id="Acrobot-v1"), EngineConfig(name="envpool")).name == "envpool"
    assert choose_engine(PONG, EngineConfig()).name == "ale"


def test_what_envpool_does_not_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="envpool does not have it") as refusal:
        choose_engine(EnvironmentConfig(id="GymV26Environment-v0"), EngineConfig(name="envpool"))
    assert refusal.value.choices == ("auto", "gymnasium", "processes")
    with pytest.raises(UserError, match=r"does not take env\.kwargs"):
        choose_engine(EnvironmentConfig(id="LunarLander-v3", kwargs={"wind_power": 3}), EngineConfig(name="envpool"))
    monkeypatch.setattr("acexp.engines.base.is_installed", lambda module: module != "envpool")
    with pytest.raises(UserError, match=r"pip install 'acexp\[fast\]'"):
        choose_engine(LANDER, EngineConfig(name="envpool"))
    assert choose_engine(LANDER, EngineConfig()).name == "gymnasium"
    by_preference = sorted(ENGINES.names, key=lambda name: ENGINES[name].build.preference)
    assert by_preference[:2] == ["processes", "gymnasium"], "auto takes what steps everything last, and processes never"
