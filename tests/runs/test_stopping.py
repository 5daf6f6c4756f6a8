"""What a run says when it is asked to stop: at once, even while it waits for something that never ends."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.command_server import SERVER
from tests.helpers import REPOSITORY, Process, start, wait_until

HANGING = """
import pathlib
import time

import gymnasium as gym
import numpy as np


class Hanging(gym.Env):
    observation_space = gym.spaces.Box(-1.0, 1.0, (3,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, where):
        self.where, self.t = where, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if self.where == "reset" and self.t:
            self.hang()  # in line 20
        return np.zeros(3, np.float32), {}

    def step(self, action):
        self.t += 1
        if self.where == "step" and self.t == 100:
            self.hang()  # in line 26
        return np.zeros(3, np.float32), 1.0, self.where != "step" and self.t == 100, False, {}

    def hang(self):
        pathlib.Path("hangs").touch()
        while True:
            time.sleep(0.01)


gym.register("Hanging-v0", Hanging)
"""


def hanging(folder: Path, *arguments: str) -> Process:
    """Start a run that hangs, and wait until it does."""
    (folder / "hanging.py").write_text(HANGING)
    settings = ("env=gym", "env.id=hanging:Hanging-v0", "a2c.n_envs=1", "a2c.n_steps=5", "hydra.run.dir=run")
    process = start(folder, *settings, *arguments)
    wait_until((folder / "hangs").exists, process)
    return process


@pytest.mark.parametrize("where", ["step", "reset"])
def test_an_environment_that_hangs_is_named_and_the_second_signal_ends_at_once(tmp_path: Path, where: str) -> None:
    process = hanging(tmp_path, f"+env.kwargs.where={where}", "checkpoint.every=50")
    saved = json.loads((tmp_path / "run" / "checkpoint.json").read_text())["sha256"]
    process.send_signal(signal.SIGINT)
    time.sleep(1.0)
    assert process.poll() is None, "the first one waits for the update's end"
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=10)
    assert process.returncode == -signal.SIGINT
    assert "Now it is stepping its environments (hanging.py, line 3" in said
    step = next(iter(saved.values()))
    assert f"A second Ctrl-C ends it at once, and what was trained after env step {step} is lost." in said


def test_an_evaluation_that_never_ends_is_named(tmp_path: Path) -> None:
    process = hanging(tmp_path, "+env.kwargs.where=step", "eval.every=50", "eval.episodes=1")
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=10)
    assert process.returncode == -signal.SIGTERM
    assert "Now it is playing the episodes of an evaluation (hanging.py, line 3" in said
    assert "and all of its training is lost" in said, "it has not been saved yet"


def test_a_run_whose_terminal_is_closed_is_saved(tmp_path: Path) -> None:
    """Whatever it prints after that fails."""
    main, other = pty.openpty()
    variables = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TERM": "xterm-256color"}
    arguments = ("env=cliffwalking", "total_steps=100000000", "log.every=400", "hydra.run.dir=run")
    pid = SERVER.start_in_terminal(arguments, tmp_path, variables, other)
    os.close(other)
    deadline = time.monotonic() + 60
    metrics = tmp_path / "run" / "metrics.jsonl"
    while not (metrics.exists() and metrics.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(pid, signal.SIGHUP)
    os.close(main)
    assert int(SERVER.ask({"wait": pid})) == 128 + signal.SIGHUP
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["status"] == "interrupted"
    assert next(iter(json.loads((tmp_path / "run" / "checkpoint.json").read_text())["sha256"].values())) > 0


def test_training_does_not_depend_on_who_reads_what_it_prints(tmp_path: Path) -> None:
    """As with `acexp ... | head -1`, or where what it prints goes to a full disk."""
    variables = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "acexp", "total_steps=40000", "log.every=400"]
    with subprocess.Popen(
        [*command, "hydra.run.dir=unread"], cwd=tmp_path, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=120) == 0
        assert process.stderr.read() == b""
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            [*command, "-m", "seed=0,1", "name=full"], cwd=tmp_path, env=variables, stdout=full, check=False
        )
    assert result.returncode == 0
    for run in ("unread", "outputs/sweeps/full/seed=0", "outputs/sweeps/full/seed=1"):
        assert json.loads((tmp_path / run / "status.json").read_text())["status"] == "done"
