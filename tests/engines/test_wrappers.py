"""Wrappers of environments: Gymnasium's and those of a user's module, wherever an environment is made."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from acexp.algorithm.assembly import check
from acexp.config import RunConfig
from acexp.core.errors import UserError
from acexp.engines import (
    EngineConfig,
    EnvironmentConfig,
    FaultyEnvironmentError,
    as_code,
    choose_engine,
    open_engine,
    probe,
)
from acexp.engines.environment import make
from acexp.runs import evaluation
from acexp.runs.agent import load
from acexp.runs.inspection import examine
from acexp.runs.outcome import Outcome
from tests.helpers import return_of_first_evaluation, train_in_memory

Config = Callable[..., RunConfig]
Train = Callable[..., list[Outcome]]
Acexp = Callable[..., subprocess.CompletedProcess[str]]

STACK: dict[str, Any] = {"name": "FrameStackObservation", "stack_size": 4}
CARTPOLE = ("env=gym", "env.id=CartPole-v1")
STACKED = (*CARTPOLE, "env.wrappers=[{name: DelayObservation, delay: 1}, {name: FrameStackObservation, stack_size: 4}]")
SMALL = ("algo.n_envs=2", "algo.n_steps=4", "total_steps=160")


class Doubled(gym.RewardWrapper[Any, Any]):
    """A wrapper of a user's, whose module is this one."""

    def __init__(self, env: gym.Env[Any, Any], factor: float = 2.0) -> None:
        super().__init__(env)
        self.factor = factor

    def reward(self, reward: Any) -> float:
        return float(reward) * self.factor


class Failing(gym.Wrapper[Any, Any, Any, Any]):
    def __init__(self, env: gym.Env[Any, Any]) -> None:
        raise OSError("no such port")


class Hidden(gym.ObservationWrapper[Any, Any, Any]):
    """CartPole's observation in a dict with a text, which has no encoding."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.observation_space = gym.spaces.Dict({"state": env.observation_space, "note": gym.spaces.Text(5)})

    def observation(self, observation: Any) -> dict[str, Any]:
        return {"state": observation, "note": "hello"}


class FailingLater(gym.Wrapper[Any, Any, Any, Any]):
    """A wrapper that calls another object, whose method raises an exception."""

    def __init__(self, env: gym.Env[Any, Any], method: str) -> None:
        super().__init__(env)
        self.method = method

    def reset(self, **options: Any) -> Any:
        return super().reset(**options) if self.method != "reset()" else fail()

    def step(self, action: Any) -> Any:
        return super().step(action) if self.method != "step()" else fail()


def fail() -> None:
    raise ZeroDivisionError("of the wrapper")


class Scaled(gym.ObservationWrapper[Any, Any, Any]):
    """Its space is the one before, but its observations have one number more."""

    def observation(self, observation: Any) -> Any:
        return np.append(observation, np.float32(0.0))


class Broken(gym.Env[Any, Any]):
    """An environment that fails by itself, with an exception or by a wrong result."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, how: str) -> None:
        self.how = how

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        if self.how == "raises":
            raise OSError("the motor is stuck")
        return np.zeros(2, np.float32), 0.0, False, {}


gym.register("Broken-v0", Broken)


def wrapped(*wrappers: dict[str, Any], environment: str = "CartPole-v1") -> EnvironmentConfig:
    return EnvironmentConfig(id=environment, wrappers=list(wrappers))


def test_the_chain_is_applied_in_order() -> None:
    """The first is the innermost: a delay of what was stacked is not a stack of what was delayed."""
    delay = {"name": "DelayObservation", "delay": 2}
    by_hand = gym.wrappers.DelayObservation(gym.wrappers.FrameStackObservation(gym.make("CartPole-v1"), 4), 2)
    engine = open_engine(wrapped(STACK, delay), [5], EngineConfig())
    other = open_engine(wrapped(delay, STACK), [5], EngineConfig())
    observation, _ = by_hand.reset(seed=5)
    assert np.array_equal(engine.reset()[0], observation)
    other.reset()
    differs = False
    for _ in range(6):
        step, another = engine.step(np.array([1])), other.step(np.array([1]))
        observation, reward, *_ = by_hand.step(1)
        assert np.array_equal(step.observation[0], observation)
        assert step.reward[0] == reward
        differs |= not np.array_equal(step.observation, another.observation)
    assert differs
    assert engine.observation_space == by_hand.observation_space
    engine.close()
    other.close()


def test_engines_with_implementations_of_their_own_step_aside_and_refuse() -> None:
    timed = {"name": "TimeAwareObservation"}
    for environment, usual in (("CliffWalking-v1", "tabular"), ("HalfCheetah-v5", "mujoco"), ("ALE/Pong-v5", "ale")):
        assert choose_engine(EnvironmentConfig(id=environment), EngineConfig()).name == usual
        assert choose_engine(wrapped(timed, environment=environment), EngineConfig()).name == "gymnasium"
        with pytest.raises(UserError, match=r"it cannot apply env\.wrappers") as refusal:
            choose_engine(wrapped(timed, environment=environment), EngineConfig(name=usual))
        assert refusal.value.choices[:2] == ("auto", "gymnasium")


@pytest.mark.parametrize(
    ("wrapper", "problem", "hint"),
    [
        ({"name": "FrameStackObservaton", "stack_size": 4}, "no wrapper called", "did you mean: FrameStackObservation"),
        ({"name": "vectors"}, "no wrapper called", "acexp list env.wrappers"),
        ({"name": "vector"}, "it is a module", ""),
        ({"stack_size": 4}, "needs a name", "[{name: FrameStackObservation, stack_size: 4}]"),
        ({"name": 3}, "needs a name", "FrameStackObservation"),
        ({"name": "my lab:Thing"}, "no wrapper called", "module:Class"),
        ({"name": "Autoreset"}, "the engines begin new episodes themselves", ""),
        ({"name": "NormalizeObservation"}, "no policy is saved with them", "normalizer=running"),
        ({"name": "TransformReward"}, "a config cannot hold", "module:Class"),
        ({"name": "RecordVideo"}, "`acexp video` draws episodes", ""),
    ],
)
def test_a_name_that_cannot_be_is_refused_by_the_config(wrapper: dict[str, Any], problem: str, hint: str) -> None:
    with pytest.raises(UserError, match=problem) as refusal:
        wrapped(wrapper)
    assert refusal.value.key == "wrappers"
    assert " ".join(hint.split()) in " ".join(str(refusal.value).split())


@pytest.mark.parametrize(
    ("wrapper", "problem", "hint"),
    [
        ({"name": "FrameStackObservation"}, "needs the argument 'stack_size'", "(stack_size, *, padding_type='reset')"),
        ({**STACK, "padding": "zero"}, "has no argument 'padding'", "did you mean: padding_type"),
        ({"name": "FlattenObservation", "x": 1}, "has no argument 'x'", "it takes no arguments"),
        ({"name": "ReshapeObservation", "shape": [3, 3]}, "ReshapeObservation cannot be applied", "shape=[3, 3]"),
        ({"name": "ClipAction"}, "ClipAction cannot be applied", "ClipAction()"),
        ({"name": f"{__name__}:Failing"}, "no such port", "test_wrappers.py, line"),
        ({"name": f"{__name__}:Nothing"}, "has no 'Nothing'", "Doubled"),
        ({"name": f"{__name__}:wrapped"}, "something else than a wrapper", "inherits from gymnasium.Wrapper"),
        ({"name": "no_such_module:Thing"}, "cannot be imported", "in the folder"),
    ],
)
def test_what_cannot_be_applied_says_why_and_is_not_blamed_on_the_environment(
    wrapper: dict[str, Any], problem: str, hint: str
) -> None:
    with pytest.raises(UserError, match=problem) as refusal:
        make(wrapped(STACK, wrapper))
    assert refusal.value.key == "env.wrappers"
    assert hint in str(refusal.value)


@pytest.mark.parametrize("engine", ["gymnasium", "processes"])
@pytest.mark.parametrize("method", ["reset()", "step()"])
def test_a_wrapper_that_fails_later_is_named_in_place_of_the_environment(method: str, engine: str) -> None:
    """Also where a wrapper around it passes the exception on."""
    failing = {"name": f"{__name__}:FailingLater", "method": method}
    opened = open_engine(wrapped(failing, STACK), [0, 1], EngineConfig(name=engine))

    def play() -> None:
        opened.reset()
        opened.step(np.zeros(2, np.int64))

    with pytest.raises(FaultyEnvironmentError, match="of the wrapper") as failure:
        play()
    opened.close()
    assert failure.value.index == 0
    assert failure.value.problem == (
        f"CartPole-v1: its wrapper FailingLater failed in {method}: ZeroDivisionError: of the wrapper"
    )
    assert failure.value.key == "env.wrappers"
    assert str(failure.value.place).endswith(f"test_wrappers.py, line {fail.__code__.co_firstlineno + 1}")


def test_a_wrapper_of_gymnasium_that_fails_is_named_with_its_own_file(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_engine(wrapped(STACK, {"name": f"{__name__}:Doubled"}), [0], EngineConfig())
    opened.reset()
    monkeypatch.setattr("gymnasium.wrappers.stateful_observation.concatenate", None)
    with pytest.raises(
        FaultyEnvironmentError, match=r"its wrapper FrameStackObservation failed in step\(\)"
    ) as failure:
        opened.step(np.zeros(1, np.int64))
    assert "stateful_observation.py, line" in str(failure.value.place)


@pytest.mark.parametrize("how", ["raises", "returns four values"])
def test_an_environment_that_fails_in_its_wrappers_is_blamed_itself(how: str) -> None:
    wrappers = [{"name": f"{__name__}:Doubled"}, STACK]
    with pytest.raises(FaultyEnvironmentError, match=r"^Broken-v0: step\(\) ") as failure:
        probe(EnvironmentConfig(id="Broken-v0", kwargs={"how": how}, wrappers=wrappers))
    assert failure.value.key == "env.id"


def test_what_a_wrapper_returns_is_not_blamed_on_the_environment() -> None:
    with pytest.raises(FaultyEnvironmentError, match=r"its shape is \(5,\)") as failure:
        probe(wrapped({"name": f"{__name__}:Scaled"}))
    assert (failure.value.key, failure.value.value) == ("env.wrappers", f"{__name__}:Scaled()")
    assert "mend the wrappers" in str(failure.value)


@pytest.mark.parametrize("value", ["[FrameStackObservation]", "FrameStackObservation", "{name: ClipAction}", "3"])
def test_anything_but_a_list_of_settings_is_refused_with_an_example(acexp: Acexp, value: str) -> None:
    result = acexp(*CARTPOLE, f"env.wrappers={value}")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "env.wrappers" in result.stderr


def test_a_part_that_has_no_encoding_can_be_dropped(config: Config) -> None:
    hidden = f"{{name: '{__name__}:Hidden'}}"
    with pytest.raises(UserError, match="not supported") as refusal:
        check(config(*CARTPOLE, f"env.wrappers=[{hidden}]"))
    assert "FilterObservation" in str(refusal.value)
    check(config(*CARTPOLE, f"env.wrappers=[{hidden}, {{name: FilterObservation, filter_keys: [state]}}]"))


def test_wrapped_environments_are_probed() -> None:
    """Also those that Gymnasium contains, which are trusted otherwise."""
    assert probe(wrapped(STACK)) == ()


def test_inspect_shows_the_chain(config: Config) -> None:
    shown = examine(config(*STACKED))
    assert shown.wrappers == ("DelayObservation(delay=1)", "FrameStackObservation(stack_size=4)")
    assert shown.input_shapes == ((16,),)


def test_evaluation_and_a_loaded_agent_see_the_same_chain(config: Config, train: Train) -> None:
    (outcome,) = train(config(*STACKED, *SMALL))
    found = evaluation.evaluate(outcome.directory, 1, deterministic=True)
    agent = load(outcome.directory)
    env = agent.make_env()
    total = return_of_first_evaluation(agent, env)
    env.close()
    assert total == found.returns[0]
    with pytest.raises(RuntimeError, match="shape"):
        agent.act(gym.make("CartPole-v1").reset(seed=0)[0])


@pytest.mark.parametrize("environment", ["CartPole-v1", "PongNoFrameskip-v4"])
def test_code_for_other_programs_wraps_as_a_run_does(environment: str) -> None:
    config = wrapped(
        {"name": f"{__name__}:Doubled", "factor": 3.0},
        {"name": "FrameStackObservation", "stack_size": 2},
        environment=environment,
    )
    lines = as_code(config, ["not_needed"])
    assert lines[0] == f"import {__name__}"
    names: dict[str, Any] = {"gymnasium": gym, "numpy": np}
    exec("\n".join(lines), names)
    env = make(config)
    assert str(names["env"]).startswith("<FrameStackObservation<Doubled<")
    assert names["env"].observation_space == env.observation_space
    if environment == "CartPole-v1":
        assert np.array_equal(names["observation"], env.reset(seed=0)[0])
        assert names["env"].step(1)[1] == env.step(1)[1] == 3.0


@pytest.mark.filterwarnings("ignore:.*precision lowered")
def test_lists_are_arrays_where_the_wrapper_takes_arrays() -> None:
    config = wrapped(
        {"name": "RescaleObservation", "min_obs": [0, -1], "max_obs": 2.5},
        {"name": "ReshapeObservation", "shape": [2, 1]},
        environment="MountainCar-v0",
    )
    env = make(config)
    low, high = np.array([[0.0], [-1.0]], np.float32), np.array([[2.5], [2.5]], np.float32)
    assert env.observation_space == gym.spaces.Box(low, high, dtype=np.float32)
    names: dict[str, Any] = {"gymnasium": gym, "numpy": np}
    exec("\n".join(as_code(config)), names)
    assert names["env"].observation_space == env.observation_space
    assert np.array_equal(names["observation"], env.reset(seed=0)[0])


def test_a_run_of_somebody_elses_imports_no_wrapper_unasked(acexp: Acexp, tmp_path: Path) -> None:
    arguments = (*CARTPOLE, *SMALL, "env.wrappers=[{name: ClipReward, min_reward: 0, max_reward: 1}]")
    assert acexp(*arguments, "hydra.run.dir=run").returncode == 0
    assert acexp("eval", "run", "--episodes", "1").returncode == 0, "Gymnasium's own need no permission"
    config, status = tmp_path / "run" / "config.yaml", tmp_path / "run" / "status.json"
    config.write_text(config.read_text().replace("name: ClipReward", "name: theirs:ClipReward"))
    status.write_text(status.read_text().replace('"done"', '"interrupted"'))
    (tmp_path / "theirs.py").write_text(
        "open('ran', 'w').close()\nimport gymnasium\nClipReward = gymnasium.wrappers.ClipReward\n"
    )
    for command in ("eval", "resume", "video", "export"):
        refused = acexp(command, "run")
        assert refused.returncode == 2, command
        assert "--allow-plugins" in refused.stderr
        assert "env.wrappers" in refused.stderr
    assert not (tmp_path / "ran").exists()
    assert acexp("eval", "run", "--episodes", "1", "--allow-plugins").returncode == 0
    assert (tmp_path / "ran").exists()


def test_the_same_chain_is_swept_resumed_filmed_and_listed(acexp: Acexp, tmp_path: Path) -> None:
    chains = "env.wrappers=[],[{name: FrameStackObservation, stack_size: 2}]"
    swept = acexp("-m", *CARTPOLE, *SMALL, chains, "hydra.launcher.processes=1", "name=frames", "log.every=80")
    assert swept.returncode == 0, swept.stderr
    assert len(list((tmp_path / "outputs" / "sweeps" / "frames").glob("*wrappers=*,seed=0"))) == 2, swept.stdout
    report = acexp("report", "outputs/sweeps/frames")
    assert report.returncode == 0, report.stderr
    assert "wrappers" in report.stdout
    stacked = next(path for path in (tmp_path / "outputs/sweeps/frames").glob("*FrameStack*"))
    filmed = acexp("video", str(stacked), "--format", "gif", "--max-steps", "3")
    assert filmed.returncode == 0, filmed.stderr
    listed = acexp("list", "env.wrappers").stdout
    assert "env.wrappers=[{name: FrameStackObservation}]" in listed
    assert "Autoreset" not in listed


@pytest.mark.learning
def test_minigrid_trains_through_its_own_wrappers(config: Config) -> None:
    """Its observation has a mission, a text, which has no encoding."""
    pytest.importorskip("minigrid")
    chain = "env.wrappers=[{name: 'minigrid.wrappers:ImgObsWrapper'}]"
    recent, greedy = train_in_memory(
        [config("env=gym", "env.id=minigrid:MiniGrid-Empty-5x5-v0", "engine=gymnasium", "total_steps=16000", chain)]
    )
    assert recent[0] is not None
    assert recent[0] > 0.9
    assert greedy[0] > 0.9
