"""Environments that are restored by playing their episodes again: a resume is exact only if they show the same."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.envs.toy_text import frozen_lake

from acexp.commands.evaluate import evaluate
from acexp.config import RunConfig
from acexp.engines import Gymnasium
from acexp.engines.gymnasium import NOT_REPEATED
from acexp.runs import runner
from acexp.runs.outcome import Outcome
from acexp.runs.run import Run, TrainOptions
from acexp.runs.run_directory import Status
from tests.runs.test_resume import assert_equal_runs, final, same

Acexp = Callable[..., subprocess.CompletedProcess[str]]
Config = Callable[..., RunConfig]
Train = Callable[..., list[Outcome]]


class Drawing(gym.Env[Any, Any]):
    """Shows random numbers, from one of several generators."""

    observation_space = gym.spaces.Box(0.0, 1.0, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, how: str) -> None:
        self.how, self.t = how, 0
        self.own = np.random.default_rng(0)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        if seed is not None:
            super().reset(seed=seed)
            self.own = np.random.default_rng(seed)
            if self.how == "mt19937":
                self.np_random = np.random.Generator(np.random.MT19937(seed))
            if self.how == "philox":
                self.np_random = np.random.Generator(np.random.Philox(seed))
            if self.how == "random_state":
                self.np_random = np.random.RandomState(seed)  # type: ignore[assignment]
        self.t = 0
        return self.observe(), {}

    def observe(self) -> Any:
        generator: Any = {"own": self.own, "global": random, "reward": self.own}.get(self.how, self.np_random)
        shown = 0.5 if self.how == "reward" else generator.random()
        return np.array([shown, self.t / 30], np.float32)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.t += 1
        reward = self.own.random() if self.how == "reward" else float(action)
        return self.observe(), reward, self.t == 30, False, {}


gym.register("Drawing-v0", Drawing)

SETTINGS = ("env=gym", "env.id=Drawing-v0", "algo.n_envs=3", "algo.n_steps=5", "total_steps=900", "log.every=90")


def resumed(config: RunConfig, train: Train, directory: Path) -> Outcome:
    """Train a run to the middle of the second episodes, and then from there to its end."""
    (paused,) = runner.train([Run(config, directory)], TrainOptions(until=300))
    assert paused.status is Status.PAUSED
    (outcome,) = runner.train([Run(config, directory)], TrainOptions(resume=True))
    assert outcome.status is Status.DONE
    return outcome


@pytest.mark.parametrize("how", ["np_random", "mt19937", "philox", "random_state"])
def test_every_generator_of_numpy_is_saved(config: Config, train: Train, tmp_path: Path, how: str) -> None:
    settings = config(*SETTINGS, f"+env.kwargs.how={how}")
    (whole,) = train(settings, name="whole")
    outcome = resumed(settings, train, tmp_path / "broken")
    assert (outcome.resume, outcome.obstacle) == ("exact", None)
    assert_equal_runs(outcome.directory, whole.directory)


@pytest.mark.parametrize("how", ["own", "global", "reward"])
def test_what_is_not_repeated_is_not_called_exact(config: Config, train: Train, tmp_path: Path, how: str) -> None:
    outcome = resumed(config(*SETTINGS, f"+env.kwargs.how={how}"), train, tmp_path / "broken")
    assert (outcome.resume, outcome.obstacle) == ("approximate", NOT_REPEATED)
    status = json.loads((outcome.directory / "status.json").read_text())
    assert (status["resume"], status["resume_reason"]) == ("approximate", NOT_REPEATED)


def test_in_another_process_the_reason_is_printed(acexp: Acexp, tmp_path: Path) -> None:
    """Random numbers without a seed are other ones there."""
    (tmp_path / "drawing.py").write_text(
        "import random\nimport gymnasium as gym\nimport numpy as np\n\n\n"
        "class Drawing(gym.Env):\n"
        "    observation_space = gym.spaces.Box(0.0, 1.0, (1,), np.float32)\n"
        "    action_space = gym.spaces.Discrete(2)\n\n"
        "    def reset(self, *, seed=None, options=None):\n"
        "        super().reset(seed=seed)\n"
        "        return np.zeros(1, np.float32), {}\n\n"
        "    def step(self, action):\n"
        "        return np.full(1, random.random(), np.float32), 1.0, False, False, {}\n\n\n"
        "gym.register('Drawing-v0', Drawing, max_episode_steps=100)\n"
    )
    settings = ("env=gym", "env.id=drawing:Drawing-v0", "total_steps=640", "hydra.run.dir=run")
    assert acexp(*settings).returncode == 0
    path = tmp_path / "run" / "config.yaml"
    path.write_text(path.read_text().replace("total_steps: 640", "total_steps: 1280"))
    again = acexp("resume", "run", "--allow-changes", "--allow-plugins")
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"resume: approximate: {NOT_REPEATED}, so new episodes began" in again.stdout


LAKE = ("env=gym", "env.id=FrozenLake-v1", "+env.kwargs={map_name: null, desc: null}", "total_steps=1280")


@pytest.fixture
def distinct_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every map that is drawn begin elsewhere: two that are left to chance may show the same for a few steps."""
    drawn = itertools.count()

    def draw() -> list[str]:
        n = next(drawn)
        return ["F" * n + "S" + "F" * (62 - n) + "G"]

    monkeypatch.setattr(frozen_lake, "generate_random_map", draw)


@pytest.mark.usefixtures("distinct_maps")
def test_a_map_that_was_drawn_is_saved_with_the_run(
    config: Config, acexp: Acexp, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = config(*LAKE)
    runner.train([Run(settings, tmp_path / "run")], TrainOptions(until=640))
    before = final(tmp_path / "run")["member"]["environments"][0]["table"]
    again = acexp("resume", "run")
    assert again.returncode == 0, again.stdout + again.stderr
    assert json.loads((tmp_path / "run" / "status.json").read_text())["resume"] == "exact"
    assert same(final(tmp_path / "run")["member"]["environments"][0]["table"], before)
    evaluate([str(tmp_path / "run"), "--episodes", "2"])
    said = capsys.readouterr().out
    assert "two instances differ in" in said
    assert "in another environment than that of training" in said


def test_runs_on_other_maps_continue_in_one_population_approximately(config: Config, tmp_path: Path) -> None:
    runs = [Run(config(*LAKE, f"seed={seed}"), tmp_path / str(seed)) for seed in range(2)]
    for run in runs:
        runner.train([run], TrainOptions(until=640))
    outcomes = runner.train(runs, TrainOptions(resume=True))
    assert [outcome.resume for outcome in outcomes] == ["approximate"] * 2
    assert "different tables" in (outcomes[0].obstacle or "")


@pytest.mark.usefixtures("distinct_maps")
def test_a_map_that_is_played_again_is_another_one(config: Config, tmp_path: Path) -> None:
    run = Run(config(*LAKE, "engine=gymnasium"), tmp_path / "run")
    runner.train([run], TrainOptions(until=640))
    (outcome,) = runner.train([run], TrainOptions(resume=True))
    assert (outcome.status, outcome.resume, outcome.obstacle) == (Status.DONE, "approximate", NOT_REPEATED)


def test_an_environment_that_cannot_be_played_again_begins_new_episodes(
    config: Config, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(*SETTINGS, "+env.kwargs.how=np_random")
    runner.train([Run(settings, tmp_path / "run")], TrainOptions(until=300))
    real, calls = Drawing.step, 0

    def failing(self: Drawing, action: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise ValueError("not again")
        return real(self, action)

    monkeypatch.setattr(Drawing, "step", failing)
    (outcome,) = runner.train([Run(settings, tmp_path / "run")], TrainOptions(resume=True))
    assert (outcome.status, outcome.resume) == (Status.DONE, "approximate")


def test_a_state_that_cannot_be_read_back_is_not_written(
    config: Config, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some engines of users' return arrays; the rest of the run is saved all the same."""
    real = Gymnasium.save

    def save(self: Gymnasium) -> Any:
        return [{**state, "array": np.zeros(3)} for state in real(self) or ()]

    monkeypatch.setattr(Gymnasium, "save", save)
    settings = config(*SETTINGS, "+env.kwargs.how=np_random")
    outcome = resumed(settings, train, tmp_path / "run")
    assert (outcome.resume, outcome.obstacle) == ("approximate", "the engine cannot save environments")
    assert final(outcome.directory)["member"]["environments"] is None


def test_a_checkpoint_of_an_earlier_version_has_nothing_to_compare(
    config: Config, train: Train, tmp_path: Path
) -> None:
    settings = config(*SETTINGS, "+env.kwargs.how=np_random")
    engine = Gymnasium.open(settings.env, [1, 2], replace(settings.engine, name="gymnasium"))
    engine.reset()
    for _ in range(40):
        engine.step(np.zeros(2, np.int64))
    states = engine.save() or []
    assert engine.load(states) is None
    assert engine.load([{key: value for key, value in state.items() if key != "checksum"} for state in states]) is None
    states[1]["checksum"] += 1
    assert engine.load(states) == NOT_REPEATED
    engine.close()
    assert all(isinstance(state["actions"], torch.Tensor) for state in states)
