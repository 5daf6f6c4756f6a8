"""The engine for MuJoCo against Gymnasium's own environments: the same bits."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from acexp.core.errors import UserError
from acexp.engines import EngineConfig, EnvironmentConfig, choose_engine, open_engine
from acexp.engines.mujoco_tasks import TASKS
from acexp.engines.threads import ThreadPool

LOCOMOTION = ("HalfCheetah-v5", "Hopper-v5", "Walker2d-v5", "Swimmer-v5", "Ant-v5", "Humanoid-v5")
VARIANTS: dict[str, dict[str, Any]] = {
    "HalfCheetah-v5": {"forward_reward_weight": 2.0, "frame_skip": 3},
    "Hopper-v5": {"healthy_state_range": (-3.0, 3.0), "exclude_current_positions_from_observation": False},
    "Walker2d-v5": {"terminate_when_unhealthy": False, "healthy_reward": 0.5},
    "Swimmer-v5": {"ctrl_cost_weight": 0.5, "reset_noise_scale": 0.01},
    "Ant-v5": {"include_cfrc_ext_in_observation": False, "main_body": 2},
    "Humanoid-v5": {"include_cinert_in_observation": False, "contact_cost_weight": 1e-3},
}


def compare(environment: EnvironmentConfig, n_envs: int, n_steps: int, threads: int, scale: float = 1.0) -> int:
    """Step both engines with the same seeds and actions; returns how many episodes ended."""
    seeds = [1000 + 7 * i for i in range(n_envs)]
    ours = open_engine(environment, seeds, EngineConfig(name="mujoco", threads=threads))
    theirs = open_engine(environment, seeds, EngineConfig(name="gymnasium"))
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    first, expected = ours.reset(), theirs.reset()
    assert first.dtype == expected.dtype
    assert np.array_equal(first, expected)
    rng = np.random.default_rng(3)
    ended = 0
    for t in range(n_steps):
        actions = (scale * rng.standard_normal((n_envs, *ours.action_space.shape))).astype(np.float32)
        step, expected = ours.step(actions), theirs.step(actions)
        for field in ("observation", "reward", "terminated", "truncated"):
            value, wanted = getattr(step, field), getattr(expected, field)
            assert value.dtype == wanted.dtype, field
            assert np.array_equal(value, wanted), (field, t)
        ended += int((step.terminated | step.truncated).sum())
    ours.close()
    theirs.close()
    return ended


@pytest.mark.parametrize("environment_id", LOCOMOTION)
def test_trajectories_equal_gymnasiums_to_the_bit(environment_id: str) -> None:
    """Resets included: a short time limit ends every episode, and falling ends some before."""
    limited = EnvironmentConfig(id=environment_id, max_episode_steps=60)
    assert compare(limited, n_envs=17, n_steps=130, threads=2) >= 34


@pytest.mark.parametrize("environment_id", LOCOMOTION)
def test_constants_are_the_environments_own(environment_id: str) -> None:
    changed = EnvironmentConfig(id=environment_id, kwargs=VARIANTS[environment_id], max_episode_steps=50)
    assert compare(changed, n_envs=3, n_steps=120, threads=1, scale=0.4) >= 6


def test_whole_half_cheetah_episodes_equal_gymnasiums_to_the_bit() -> None:
    assert compare(EnvironmentConfig(id="HalfCheetah-v5"), n_envs=4, n_steps=1100, threads=3) == 4


@pytest.mark.usefixtures("without_envpool")
def test_auto_takes_it_for_every_task_and_for_nothing_else() -> None:
    for environment_id in LOCOMOTION:
        assert choose_engine(EnvironmentConfig(id=environment_id), EngineConfig()).name == "mujoco"
    assert {gym.spec(name).entry_point for name in LOCOMOTION} == set(TASKS)
    for other in ("HalfCheetah-v4", "Reacher-v5", "InvertedPendulum-v5"):
        assert choose_engine(EnvironmentConfig(id=other), EngineConfig()).name == "gymnasium"
    with pytest.raises(UserError, match="HalfCheetah") as refusal:
        choose_engine(EnvironmentConfig(id="Reacher-v5"), EngineConfig(name="mujoco"))
    assert refusal.value.choices == ("auto", "gymnasium", "processes")


def test_it_closes_twice_and_starts_again_from_its_seeds() -> None:
    engine = open_engine(EnvironmentConfig(id="Hopper-v5"), [3, 4], EngineConfig(name="mujoco", threads=2))
    first = engine.reset()
    engine.step(np.ones((2, 3), np.float32))
    assert np.array_equal(engine.reset(), first)
    engine.close()
    engine.close()


def test_a_crew_does_every_job_once_and_passes_errors_on() -> None:
    done: list[int] = []

    def job(i: int) -> None:
        if i < 0:
            raise RuntimeError("no such job")
        done.append(i)

    crew = ThreadPool(3, job)
    for _ in range(50):
        done.clear()
        crew.run(range(40))
        assert sorted(done) == list(range(40))
    with pytest.raises(RuntimeError, match="no such job"):
        crew.run([1, -1, 2])
    crew.run([7])
    assert done[-1] == 7
    crew.close()
    crew.close()
