"""Numbers of an episode's final info: logged in training and evaluation, and compared by a report."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from acexp.config import RunConfig
from acexp.core.errors import UserError
from acexp.engines import EngineConfig, EnvironmentConfig, choose_engine, open_engine
from acexp.engines.contract import numbers_in
from acexp.runs import runner
from acexp.runs.outcome import Outcome
from acexp.runs.run import Run, TrainOptions
from acexp.runs.run_directory import Status
from tests.helpers import metrics

Config = Callable[..., RunConfig]
Train = Callable[..., list[Outcome]]
Acexp = Callable[..., subprocess.CompletedProcess[str]]

COUNTING = """
import gymnasium as gym
import numpy as np


class Counting(gym.Env):
    \"\"\"Episodes of 3 steps; every second one succeeds, and only those have a height.\"\"\"

    observation_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)
    n = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.n, self.t = self.n + 1, 0
        return np.zeros(1, np.float32), {"is_success": 17.0}

    def step(self, action):
        self.t += 1
        succeeds = self.n % 2 == 0
        info = {"is_success": succeeds, "path": [1, 2], "text": "a", "worst": float("nan")}
        info |= {"height": 5} if succeeds else {}
        return np.zeros(1, np.float32), 1.0, self.t == 3, False, info


gym.register("Counting-v0", Counting)
"""
RUN = ("env=gym", "env.id=counting:Counting-v0", "algo.n_envs=2", "algo.n_steps=4", "total_steps=64", "log.every=64")
SMALL = ("algo.n_envs=2", "algo.n_steps=4", "total_steps=96", "log.every=96")
LOGGED = (*RUN, "log.info=[is_success,height]")


@pytest.mark.parametrize("engine", ["gymnasium", "processes"])
def test_engines_give_the_numbers_of_the_last_info_alone(engine: str) -> None:
    environment = EnvironmentConfig(id="HalfCheetah-v5", max_episode_steps=3)
    opened = open_engine(environment, [0, 1], EngineConfig(name=engine), ["x_position", "nothing"])
    plain = gym.make("HalfCheetah-v5", max_episode_steps=3)
    plain.reset(seed=1)
    opened.reset()
    action = np.full((2, 6), 0.5, np.float32)
    for t in range(4):
        opened.step(action)
        if t == 3:
            assert opened.final_info == {}, "the step after an end is a reset"
            break
        info = plain.step(action[1])[-1]
        if t < 2:
            assert opened.final_info == {}
        else:
            assert set(opened.final_info) == {0, 1}
            assert opened.final_info[1] == {"x_position": info["x_position"]}
    opened.close()


def test_what_is_no_finite_number_is_left_out() -> None:
    info = {"yes": True, "n": np.int64(3), "one": np.array([2.5]), "two": np.zeros(2), "nan": math.nan, "text": "1"}
    assert numbers_in(info, list(info)) == {"yes": 1.0, "n": 3.0, "one": 2.5}
    assert numbers_in(None, ["yes"]) == {}
    assert numbers_in([("yes", 1)], ["yes"]) == {}


def test_engines_without_infos_step_aside_and_refuse() -> None:
    cheetah = EnvironmentConfig(id="HalfCheetah-v5")
    assert choose_engine(cheetah, EngineConfig(), ["x_position"]).name == "gymnasium"
    with pytest.raises(UserError, match=r"it has no infos, which log\.info reads"):
        choose_engine(cheetah, EngineConfig(name="mujoco"), ["x_position"])


@pytest.mark.parametrize("engine", ["gymnasium", "processes"])
def test_means_are_over_the_episodes_that_have_the_number(acexp: Acexp, tmp_path: Path, engine: str) -> None:
    (tmp_path / "counting.py").write_text(COUNTING)
    result = acexp(*LOGGED, f"engine={engine}", "eval.every=64", "eval.episodes=4", "hydra.run.dir=run")
    assert result.returncode == 0, result.stderr
    lines = metrics(tmp_path / "run")
    # In 32 slots, each environment ends 8 episodes of 3 steps and a reset, every second of which succeeds.
    trained = next(line for line in lines if "info/is_success" in line)
    assert (trained["info/is_success"], trained["info/height"]) == (0.5, 5.0)
    evaluated = next(line for line in lines if "eval/info/is_success" in line)
    # Four environments play their first episode each, which fails; probing has not touched these instances.
    assert evaluated["eval/info/is_success"] == 0.0
    assert "eval/info/height" not in evaluated
    assert not any("worst" in tag or "path" in tag for line in lines for tag in line)


def test_a_report_compares_by_it_and_a_final_evaluation_has_it(acexp: Acexp, tmp_path: Path) -> None:
    (tmp_path / "counting.py").write_text(COUNTING)
    swept = acexp("-m", *LOGGED, "algo.gamma=0.9,0.99", "seed=0,1", "hydra.launcher.processes=1", "name=infos")
    assert swept.returncode == 0, swept.stderr
    folder = "outputs/sweeps/infos"
    trained = acexp("report", folder, "--metric", "info/is_success")
    assert trained.returncode == 0, trained.stderr
    evaluated = acexp("eval", folder, "--episodes", "64", "--allow-plugins")
    assert evaluated.returncode == 0, evaluated.stderr
    assert "info/is_success" in evaluated.stdout
    saved = [json.loads(path.read_text()) for path in (tmp_path / folder).glob("*/eval.json")]
    assert [content["info/is_success"] for content in saved] == [0.5] * 4, "32 environments play two episodes each"
    final = acexp("report", folder, "--metric", "evaluation/info/is_success")
    assert final.returncode == 0, final.stderr
    unknown = acexp("report", folder, "--metric", "evaluation/info/is_succes")
    assert unknown.returncode == 2
    assert "evaluation/info/is_success" in unknown.stderr


def test_a_key_that_is_never_there_is_named_at_the_end(acexp: Acexp, tmp_path: Path) -> None:
    (tmp_path / "counting.py").write_text(COUNTING)
    result = acexp(*RUN, "log.info=[is_succes]", "hydra.run.dir=run")
    assert result.returncode == 0, result.stderr
    assert "the last steps of episodes return no number called 'is_succes'" in result.stdout


def test_it_is_kept_over_a_resume(config: Config, train: Train, tmp_path: Path) -> None:
    """Episodes that ended before the checkpoint count in the line that is written after it."""
    settings = config("env=gym", "env.id=HalfCheetah-v5", "env.max_episode_steps=5", "log.info=[x_position]", *SMALL)
    (whole,) = train(settings, name="whole")
    directory = tmp_path / "run"
    (paused,) = runner.train([Run(settings, directory)], TrainOptions(until=48))
    assert paused.status is Status.PAUSED
    (resumed,) = runner.train([Run(settings, directory)], TrainOptions(resume=True))
    assert resumed.status is Status.DONE, resumed.error
    assert metrics(directory) == metrics(whole.directory)
    assert "info/x_position" in metrics(directory)[-1]


def test_it_changes_no_training(config: Config, train: Train) -> None:
    settings = ("env=gym", "env.id=Pendulum-v1", "engine=gymnasium", "algo.n_envs=2", "total_steps=1600")
    (plain,) = train(config(*settings), name="plain")
    (logged,) = train(config(*settings, "log.info=[nothing]"), name="logged")
    assert plain.status is logged.status is Status.DONE
    assert metrics(plain.directory) == metrics(logged.directory)


def test_the_config_takes_a_list(config: Config) -> None:
    def load(value: Any) -> list[str]:
        return config(f"log.info={value}").log.info

    assert load("[is_success]") == ["is_success"]
    with pytest.raises(UserError, match=r"log\.info is a list of texts"):
        load("is_success")
