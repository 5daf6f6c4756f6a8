from __future__ import annotations

import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from acexp.core.errors import UserError
from acexp.engines import ENGINES, EngineConfig, EnvironmentConfig, Gymnasium, choose_engine, open_engine
from acexp.engines.environment import make
from acexp.runs.run_directory import recorded_packages

CARTPOLE = EnvironmentConfig(id="CartPole-v1")
PONG = EnvironmentConfig(id="PongNoFrameskip-v4")


def test_gymnasium_steps_as_single_environments_would_and_resets_in_a_slot_of_its_own() -> None:
    """Ten environments against plain `gym.make` ones, with NEXT_STEP spelled out."""
    seeds = list(range(100, 110))
    engine = open_engine(CARTPOLE, seeds, EngineConfig(name="gymnasium"))
    singles = [gym.make("CartPole-v1") for _ in seeds]
    expected = np.stack([env.reset(seed=seed)[0] for env, seed in zip(singles, seeds, strict=True)])
    assert np.array_equal(engine.reset(), expected)

    done = np.zeros(10, bool)
    resets = 0
    rng = np.random.default_rng(0)
    for _ in range(60):
        actions = rng.integers(0, 2, 10)
        step = engine.step(actions)
        for i, env in enumerate(singles):
            if done[i]:
                observation, reward, terminated, truncated = env.reset()[0], 0.0, False, False
                resets += 1
            else:
                observation, reward, terminated, truncated, _ = env.step(int(actions[i]))
            assert np.array_equal(step.observation[i], observation)
            assert (step.reward[i], step.terminated[i], step.truncated[i]) == (reward, terminated, truncated)
            done[i] = terminated or truncated
    assert resets > 5
    engine.close()
    for env in singles:
        env.close()


def test_a_time_limit_truncates() -> None:
    engine = open_engine(EnvironmentConfig(id="CliffWalking-v1", max_episode_steps=3), [0], EngineConfig())
    engine.reset()
    ends = [engine.step(np.array([0])) for _ in range(3)]
    assert [(bool(s.terminated[0]), bool(s.truncated[0])) for s in ends] == [
        (False, False),
        (False, False),
        (False, True),
    ]
    engine.close()


@pytest.mark.parametrize("name", ["gymnasium", "ale"])
def test_atari_gets_the_standard_preprocessing(name: str) -> None:
    engine = open_engine(PONG, [1, 2], EngineConfig(name=name, threads=1))
    assert engine.observation_space == gym.spaces.Box(0, 255, (4, 84, 84), np.uint8)
    observation = engine.reset()
    assert observation.shape == (2, 4, 84, 84)
    assert observation.dtype == np.uint8
    rng = np.random.default_rng(0)
    rewards = [engine.step(rng.integers(0, 6, 2)).reward for _ in range(250)]
    assert np.min(rewards) == -1.0
    engine.close()


@pytest.mark.parametrize("name", ["gymnasium", "ale"])
def test_atari_rewards_are_raw(name: str) -> None:
    """A brick of the upper rows in Breakout is worth more than 1, as is a ghost of any game."""
    engine = open_engine(EnvironmentConfig(id="ALE/SpaceInvaders-v5"), [0, 1, 2, 3], EngineConfig(name=name, threads=1))
    engine.reset()
    rng = np.random.default_rng(0)
    rewards = [engine.step(rng.integers(0, 6, 4)).reward for _ in range(150)]
    assert np.max(rewards) >= 5.0
    engine.close()


@pytest.mark.parametrize(("environment_id", "sticky"), [("PongNoFrameskip-v4", 0.0), ("ALE/Pong-v5", 0.25)])
def test_atari_ids_keep_their_own_sticky_actions(environment_id: str, sticky: float) -> None:
    env = make(EnvironmentConfig(id=environment_id))
    assert env.unwrapped.ale.getFloat("repeat_action_probability") == sticky  # type: ignore[attr-defined]
    env.close()


def test_atari_ram_is_a_vector_that_gymnasium_steps() -> None:
    ram = EnvironmentConfig(id="ALE/Pong-v5", kwargs={"obs_type": "ram"})
    engine = open_engine(ram, [0], EngineConfig())
    assert engine.reset().shape == (1, 128)
    engine.close()


@pytest.mark.usefixtures("without_envpool")
def test_auto_takes_the_fastest_that_can() -> None:
    assert choose_engine(PONG, EngineConfig()).name == "ale"
    assert choose_engine(CARTPOLE, EngineConfig()).name == "gymnasium"
    assert choose_engine(EnvironmentConfig(id="CliffWalking-v1"), EngineConfig()).name == "tabular"
    with_mode = EnvironmentConfig(id="ALE/Pong-v5", kwargs={"mode": 1})
    assert choose_engine(with_mode, EngineConfig()).name == "gymnasium"


@pytest.mark.usefixtures("without_envpool")
def test_an_engine_that_cannot_says_so_and_names_those_that_can() -> None:
    with pytest.raises(UserError, match="Atari games only") as refusal:
        choose_engine(CARTPOLE, EngineConfig(name="ale"))
    assert refusal.value.choices == ("auto", "gymnasium", "processes")


def test_an_engine_closes_twice() -> None:
    for environment, name in ((CARTPOLE, "gymnasium"), (PONG, "ale")):
        engine = open_engine(environment, [0], EngineConfig(name=name))
        engine.close()
        engine.close()


@pytest.mark.parametrize(
    ("environment", "complaint", "hint"),
    [
        (EnvironmentConfig(id="CartPoll-v1"), "has no environment", "CartPole-v1"),
        (EnvironmentConfig(id="CartPole"), "has no environment", "CartPole-v1"),
        (EnvironmentConfig(id="CliffWalking-v0"), "has no environment", "CliffWalking-v1"),
        (EnvironmentConfig(id="CartPole-v1", kwargs={"speed": 3}), "cannot be made", "env.kwargs"),
        (EnvironmentConfig(id="no_such_module:Thing-v0"), "cannot be imported", "the folder"),
    ],
)
def test_an_environment_that_cannot_be_had_says_why(environment: EnvironmentConfig, complaint: str, hint: str) -> None:
    with pytest.raises(UserError, match=complaint) as refusal:
        open_engine(environment, [0], EngineConfig())
    assert hint in str(refusal.value)


class Talking(gym.Env[str, int]):
    observation_space = gym.spaces.Text(5)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: object = None) -> tuple[str, dict[str, object]]:
        return "hello", {}

    def step(self, action: int) -> tuple[str, float, bool, bool, dict[str, object]]:
        return "hello", 0.0, False, False, {}


def test_a_space_that_is_not_supported_is_refused() -> None:
    from acexp.algorithm.assembly import check
    from acexp.config.application import compose

    gym.register("Talking-v0", Talking)
    with pytest.raises(UserError, match="not supported") as refusal:
        check(compose(["env=gym", "env.id=Talking-v0"]))
    assert "Discrete" in str(refusal.value)


@pytest.mark.usefixtures("without_envpool")
def test_a_missing_engine_package_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(UserError, match="pip install ale-py") as refusal:
        choose_engine(CARTPOLE, EngineConfig(name="ale"))
    assert refusal.value.choices == ("auto", "gymnasium", "processes")


@pytest.mark.parametrize("content", ["", "raise ImportError('libenvpool.so')", "raise OSError('bad magic number')"])
def test_a_package_that_is_only_partly_installed_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str
) -> None:
    (tmp_path / "envpool").mkdir()
    (tmp_path / "envpool" / "__init__.py").write_text(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in [name for name in sys.modules if name.partition(".")[0] == "envpool"]:
        monkeypatch.delitem(sys.modules, module)
    assert choose_engine(CARTPOLE, EngineConfig()).name == "gymnasium"
    with pytest.raises(UserError, match=r"its package cannot be used: .*force-reinstall envpool"):
        choose_engine(CARTPOLE, EngineConfig(name="envpool"))


def test_a_missing_simulator_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mujoco", None)
    for module in [name for name in sys.modules if name.startswith("gymnasium.envs.mujoco")]:
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(UserError, match="not installed") as refusal:
        open_engine(EnvironmentConfig(id="HalfCheetah-v5"), [0], EngineConfig())
    assert "pip install" in str(refusal.value)


class Preferred(Gymnasium):
    """An engine as a plugin may register it, which `auto` prefers to all others for one environment."""

    preference = 1000

    @classmethod
    def is_equal(cls, environment: EnvironmentConfig) -> bool:
        return environment.id == "CartPole-v1"


def test_auto_takes_an_engine_of_a_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ENGINES, "_entries", dict(ENGINES._entries))
    ENGINES.register("preferred")(Preferred)
    assert choose_engine(EnvironmentConfig(id="CartPole-v1"), EngineConfig()).name == "preferred"
    assert choose_engine(EnvironmentConfig(id="CliffWalking-v1"), EngineConfig()).name == "tabular"
    assert "box2d" in recorded_packages()


def test_auto_asks_no_engine_that_it_could_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """To ask envpool, it has to be imported, which takes seconds in every process of a sweep."""

    def ask(environment: EnvironmentConfig) -> str | None:
        raise AssertionError(f"envpool was asked for {environment.id}")

    monkeypatch.setattr(ENGINES["envpool"].build, "cannot_step", ask)
    assert choose_engine(EnvironmentConfig(id="MountainCar-v0"), EngineConfig(name="auto")).name == "gymnasium"
