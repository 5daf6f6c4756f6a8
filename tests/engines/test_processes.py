"""Environments in processes of their own: equal to the engine gymnasium, also where something goes wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from acexp.config import RunConfig
from acexp.core.errors import UserError
from acexp.core.observations import leaves_of, pick
from acexp.core.stopping import StopRequestedError
from acexp.engines import EngineConfig, EnvironmentConfig, FaultyEnvironmentError, choose_engine, open_engine
from acexp.runs.agent import load
from acexp.runs.outcome import Outcome
from acexp.runs.run_directory import Status
from tests.engines import process_environments  # noqa: F401, it registers environments
from tests.helpers import metrics, parameters, start, wait_until

Acexp = Callable[..., subprocess.CompletedProcess[str]]
PROCESSES = EngineConfig(name="processes")

ENVIRONMENTS = {
    "vectors": EnvironmentConfig(id="CartPole-v1"),
    "a time limit": EnvironmentConfig(id="Pendulum-v1", max_episode_steps=7),
    "single numbers": EnvironmentConfig(id="FrozenLake-v1"),
    "a tuple": EnvironmentConfig(id="Blackjack-v1"),
    "a dict": EnvironmentConfig(id="Composite-v0"),
    "wrappers": EnvironmentConfig(id="CartPole-v1", wrappers=[{"name": "FrameStackObservation", "stack_size": 3}]),
}


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_trajectories_equal_those_of_one_process(environment: EnvironmentConfig) -> None:
    ours = open_engine(environment, [3, 4, 5], PROCESSES)
    theirs = open_engine(environment, [3, 4, 5], EngineConfig(name="gymnasium"))
    assert (ours.observation_space, ours.action_space) == (theirs.observation_space, theirs.action_space)
    leaves = leaves_of(ours.observation_space)
    ours.action_space.seed(1)

    def assert_equal(one: Any, other: Any) -> None:
        for leaf in leaves:
            assert pick(one, leaf).dtype == pick(other, leaf).dtype
            assert np.array_equal(pick(one, leaf), pick(other, leaf))

    assert_equal(ours.reset(), theirs.reset())
    n_ends = 0
    for _ in range(60):
        actions = np.stack([ours.action_space.sample() for _ in range(3)])
        one, other = ours.step(actions), theirs.step(actions)
        assert_equal(one.observation, other.observation)
        for mine, its in zip(one[1:], other[1:], strict=True):
            assert mine.dtype == its.dtype
            assert np.array_equal(mine, its)
        n_ends += int((one.terminated | one.truncated).sum())
    assert n_ends > 2
    ours.close()
    ours.close()
    theirs.close()


def test_environments_step_at_the_same_time(tmp_path: Path) -> None:
    engine = open_engine(EnvironmentConfig(id="Meeting-v0", kwargs={"folder": str(tmp_path)}), [0, 1], PROCESSES)
    engine.reset()
    assert engine.step(np.zeros(2, np.int64)).reward.tolist() == [1.0, 1.0]
    assert str(os.getpid()) not in {path.name for path in tmp_path.iterdir()}
    engine.close()


def test_auto_never_takes_it() -> None:
    assert choose_engine(EnvironmentConfig(id="Composite-v0"), EngineConfig()).name == "gymnasium"


def test_instances_with_different_spaces_are_named() -> None:
    with pytest.raises(FaultyEnvironmentError, match="its instances have different spaces"):
        open_engine(EnvironmentConfig(id="Varying-v0"), [0, 1], PROCESSES)


def test_too_many_processes_are_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(*arguments: object, **named: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", no_more)
    with pytest.raises(UserError, match="2 processes cannot be started") as refusal:
        open_engine(ENVIRONMENTS["vectors"], [0, 1], PROCESSES)
    assert "algo.n_envs" in str(refusal.value)


def test_a_stop_is_heard_in_the_middle_of_a_step_that_never_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("acexp.engines.processes.CLOSE_SECONDS", 0.5)
    engine = open_engine(EnvironmentConfig(id="Meeting-v0", kwargs={"folder": str(tmp_path / "none")}), [0], PROCESSES)
    engine.reset()
    (tmp_path / "none").mkdir()
    engine.should_stop = lambda: True
    with pytest.raises(StopRequestedError):
        engine.step(np.zeros(1, np.int64))
    engine.close()


def test_an_agent_is_loaded_without_processes(
    config: Callable[..., RunConfig], train: Callable[..., list[Outcome]], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("env=gym", "env.id=CartPole-v1", "engine=processes", "algo.n_envs=2", "total_steps=64", "eval.every=32")
    (outcome,) = train(config(*settings, "eval.episodes=2"))
    assert outcome.status is Status.DONE, outcome.error
    monkeypatch.setattr("acexp.engines.processes.Processes.open", None)
    assert load(outcome.directory).act(np.zeros(4, np.float32)) in (0, 1)


MORTAL = """
import os
import pathlib
import signal
import time

import gymnasium as gym
import numpy as np


class Mortal(gym.Env):
    observation_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, how):
        self.how, self.t = how, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observe(), {}

    def observe(self):
        return self.np_random.uniform(-1.0, 1.0, 2).astype(np.float32)

    def step(self, action):
        self.t += 1
        if self.t == 60 and pathlib.Path("die").exists():
            with open("dying", "a") as file:
                print(os.getpid(), file=file)
            if self.how == "killed" and self.is_first():
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "exit" and self.is_first():
                os._exit(3)
            if self.how == "raise" and self.is_first():
                raise OSError("the robot does not answer")  # line 35
            while self.how == "hang":
                time.sleep(0.01)
        return self.observe(), float(action), False, self.t % 25 == 0, {}

    def is_first(self):
        try:
            pathlib.Path("first").mkdir()
        except FileExistsError:
            return False
        return True


gym.register("Mortal-v0", Mortal)
"""
RUN = ("env=gym", "env.id=mortal:Mortal-v0", "engine=processes", "algo.n_envs=3", "algo.n_steps=5", "total_steps=450")
SAVED = (*RUN, "checkpoint.every=45", "log.every=45", "hydra.run.dir=run", "seed=7")


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("killed", r"the process of its environment \d ended without a word \(SIGKILL; out of memory\?\)"),
        ("exit", r"the process of its environment \d ended without a word \(exit code 3\)"),
        ("raise", r"step\(\) failed: OSError: the robot does not answer"),
    ],
)
def test_a_process_that_dies_ends_the_run_with_its_name_and_step_and_the_run_resumes(
    acexp: Acexp, tmp_path: Path, how: str, cause: str
) -> None:
    (tmp_path / "mortal.py").write_text(MORTAL)
    whole = acexp(*SAVED, f"+env.kwargs.how={how}", "hydra.run.dir=whole")
    assert whole.returncode == 0, whole.stderr
    (tmp_path / "die").touch()
    failed = acexp(*SAVED, f"+env.kwargs.how={how}")
    assert failed.returncode == 1, failed.stdout
    said = json.loads((tmp_path / "run" / "status.json").read_text())
    assert said["status"] == "failed"
    assert re.match(rf"mortal:Mortal-v0, seed 7, env step 1[78]\d: {cause}", said["error"]), said
    if how == "raise":
        assert "mortal.py, line 35" in said["error"]
        assert "the robot does not answer" in (tmp_path / "run" / "error.log").read_text()
    (tmp_path / "die").unlink()
    resumed = acexp("resume", "run", "--allow-plugins")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads((tmp_path / "run" / "status.json").read_text())["resume"] == "exact"
    assert metrics(tmp_path / "run") == metrics(tmp_path / "whole")
    expected = parameters(tmp_path / "whole")
    assert all(torch.equal(tensor, expected[name]) for name, tensor in parameters(tmp_path / "run").items())


def test_processes_end_with_a_run_that_is_killed_in_the_middle_of_their_steps(tmp_path: Path) -> None:
    (tmp_path / "mortal.py").write_text(MORTAL)
    (tmp_path / "die").touch()
    process = start(tmp_path, *SAVED, "+env.kwargs.how=hang")
    dying = tmp_path / "dying"
    wait_until(lambda: dying.exists() and len(dying.read_text().split()) == 3, process)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    for pid in map(int, dying.read_text().split()):
        wait_until_gone(pid)


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 60.0
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_signal_to_the_whole_process_group_ends_a_run_as_ever(tmp_path: Path) -> None:
    """As a terminal sends Ctrl-C: the processes of the environments end with the run, and not before it has saved."""
    (tmp_path / "mortal.py").write_text(MORTAL)
    settings = ("+env.kwargs.how=none", "total_steps=100000000", "checkpoint.every=null")
    process = start(tmp_path, *SAVED, *settings, group=True)
    log = tmp_path / "run" / "metrics.jsonl"
    wait_until(lambda: log.exists() and bool(log.read_text()), process)
    started = members_of_group(process.pid) - {process.pid}
    assert len(started) >= 3, "one process for each environment"
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert "Traceback" not in said
    assert json.loads((tmp_path / "run" / "status.json").read_text())["status"] == "interrupted", said
    for pid in started:
        wait_until_gone(pid)


def members_of_group(group: int) -> set[int]:
    stats = {int(path.parent.name): path.read_text() for path in Path("/proc").glob("[0-9]*/stat") if path.exists()}
    return {pid for pid, stat in stats.items() if int(stat.rpartition(")")[2].split()[2]) == group}
