"""Settings of environments: time limits, clipped rewards, and the frames of a step of an Atari game."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from acexp.algorithm.assembly import assemble, resolve
from acexp.config import RunConfig
from acexp.core.errors import UserError
from acexp.engines import EngineConfig, EnvironmentConfig, clips_rewards, open_engine
from acexp.engines.environment import NO_LIMIT, as_code, make

PONG = "ALE/Pong-v5"


@pytest.mark.parametrize(
    ("environment", "kwargs", "engine", "own"),
    [
        ("HalfCheetah-v5", {}, "mujoco", 1000),
        ("MountainCar-v0", {}, "gymnasium", 200),
        ("FrozenLake-v1", {"is_slippery": False}, "tabular", 100),
    ],
)
def test_an_environments_own_time_limit_can_be_removed(
    environment: str, kwargs: dict[str, object], engine: str, own: int
) -> None:
    def ends(limit: int | None) -> int | None:
        config = EnvironmentConfig(id=environment, kwargs=kwargs, max_episode_steps=limit)
        opened = open_engine(config, [0], EngineConfig(name=engine, threads=1))
        opened.reset()
        still = np.zeros((1, *opened.action_space.shape), opened.action_space.dtype)  # type: ignore[misc]
        truncated = [t for t in range(own + 2) if opened.step(still).truncated[0]]
        opened.close()
        return truncated[0] + 1 if truncated else None

    assert ends(NO_LIMIT) is None
    assert ends(7) == 7
    assert ends(None) == own
    assert make(EnvironmentConfig(id=environment)).spec.max_episode_steps == own  # type: ignore[union-attr]
    assert make(EnvironmentConfig(id=environment, max_episode_steps=NO_LIMIT)).spec.max_episode_steps is None  # type: ignore[union-attr]


def test_no_other_limit_below_one_is_accepted_and_the_remedy_is_named() -> None:
    for limit in (0, -2):
        with pytest.raises(UserError, match="-1 removes the environment's own limit"):
            EnvironmentConfig(id="CartPole-v1", max_episode_steps=limit)


@pytest.mark.parametrize("engine", ["ale", "gymnasium"])
def test_a_game_keeps_the_emulators_limit(engine: str) -> None:
    with pytest.raises(UserError, match="ends every Atari game after 108,000 frames"):
        open_engine(EnvironmentConfig(id=PONG, max_episode_steps=NO_LIMIT), [0], EngineConfig(name=engine, threads=1))


def test_rewards_are_clipped_by_the_setting_or_else_for_atari() -> None:
    assert [clips_rewards(EnvironmentConfig(id=PONG, clip_rewards=clip)) for clip in (None, True, False)] == [
        True,
        True,
        False,
    ]
    assert [clips_rewards(EnvironmentConfig(id="CartPole-v1", clip_rewards=clip)) for clip in (None, True, False)] == [
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(("clip", "lowest"), [("null", -100.0), ("false", -100.0), ("true", -1.0)])
def test_what_is_learned_from_is_clipped_and_returns_are_not(
    config: Callable[..., RunConfig], clip: str, lowest: float
) -> None:
    run = config("env=cliffwalking", f"env.clip_rewards={clip}", "algo.n_envs=8", "algo.n_steps=64", "total_steps=512")
    with assemble([resolve(run)]) as population:
        rollouts = [population.collector.collect() for _ in range(2)]
        rewards = [float(rollout.rewards.min()) for rollout in rollouts]
        returns = [episode.episode_return for _ in range(6) for episode in population.collector.collect().episodes]
    assert min(rewards) == lowest
    assert min(returns) < -200.0


def frames_of_a_lost_game(engine: str, skip: int | None) -> int:
    """How many frames a game takes in which the paddle stands still, which the opponent wins at a steady pace."""
    kwargs = {} if skip is None else {"frameskip": skip}
    opened = open_engine(EnvironmentConfig(id=PONG, kwargs=kwargs), [0], EngineConfig(name=engine, threads=1))
    opened.reset()
    steps = 1
    while not opened.step(np.zeros(1, np.int64)).terminated[0]:
        steps += 1
    opened.close()
    return steps * (skip or 4)


@pytest.mark.parametrize("engine", ["ale", "gymnasium"])
def test_a_step_of_a_game_takes_as_many_frames_as_it_is_told(engine: str) -> None:
    usual = frames_of_a_lost_game(engine, None)
    for skip in (2, 4, 8):
        assert frames_of_a_lost_game(engine, skip) == pytest.approx(usual, rel=0.15)


@pytest.mark.parametrize("skip", [0, -1, "often", [2, 5]])
def test_a_number_of_frames_that_cannot_be_is_refused(skip: object) -> None:
    for engine in ("ale", "gymnasium"):
        with pytest.raises(UserError, match="takes a fixed number of frames") as caught:
            open_engine(EnvironmentConfig(id=PONG, kwargs={"frameskip": skip}), [0], EngineConfig(name=engine))
        assert caught.value.key == "env.kwargs.frameskip"


def test_code_for_other_programs_skips_as_many_frames() -> None:
    code = "\n".join(as_code(EnvironmentConfig(id=PONG, kwargs={"frameskip": 2})))
    assert "frameskip=1)" in code
    assert "frame_skip=2" in code
