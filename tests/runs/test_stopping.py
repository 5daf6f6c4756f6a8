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
from tests.helpers import REPOSITORY, Process, contents, start, wait_until

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
    settings = ("env=gym", "env.id=hanging:Hanging-v0", "algo.n_envs=1", "algo.n_steps=5", "hydra.run.dir=run")
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


def saved_step(run: Path) -> int:
    """The env step of the newest checkpoint."""
    return int(next(iter(json.loads((run / "checkpoint.json").read_text())["sha256"].values())))


def test_an_evaluation_that_hangs_is_named_and_nothing_is_lost(tmp_path: Path) -> None:
    process = hanging(tmp_path, "+env.kwargs.where=step", "eval.every=50", "eval.episodes=1")
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=10)
    assert process.returncode == -signal.SIGTERM
    assert "the run has been saved and ends after this step" in said
    assert "Now it is playing the episodes of an evaluation (hanging.py, line 3" in said
    assert "and only this evaluation is lost, until the run is resumed" in said
    assert saved_step(tmp_path / "run") == 50


SLOW = """
import pathlib
import time

import gymnasium as gym
import numpy as np


class Slow(gym.Env):
    observation_space = gym.spaces.Box(-1.0, 1.0, (3,), np.float32)
    action_space = gym.spaces.Discrete(2)
    t = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(3, np.float32), {}

    def step(self, action):
        self.t += 1
        slow = pathlib.Path("slow")
        if slow.exists():
            with open("steps", "a") as steps:
                steps.write("s")
            time.sleep(float(slow.read_text() or 0.02))
        if self.t == 50:
            pathlib.Path("reached").touch()
        return self.np_random.random(3, dtype=np.float32), 1.0, False, False, {}


gym.register("Slow-v0", Slow)
"""
SLOW_RUN = (
    "env=gym", "env.id=slow:Slow-v0", "algo.n_envs=1", "algo.n_steps=5", "log.every=10", "checkpoint.minutes=null",
)  # fmt: skip


def stop(process: Process, folder: Path) -> tuple[str, int]:
    """Send one Ctrl-C; return what was printed, and how many slow steps were made until the process had ended."""
    before = n_slow_steps(folder)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    return said, n_slow_steps(folder) - before


def n_slow_steps(folder: Path) -> int:
    steps = folder / "steps"
    return steps.stat().st_size if steps.exists() else 0


@pytest.mark.parametrize("is_sweep", [False, True])
def test_one_ctrl_c_ends_a_slow_rollout_and_nothing_else_is_lost(tmp_path: Path, is_sweep: bool) -> None:
    """An update takes 6 s here. It is left after a step or two, and made again when the run is resumed."""
    (tmp_path / "slow.py").write_text(SLOW)
    settings = (*SLOW_RUN, "algo.n_envs=4", "total_steps=200")
    directory = tmp_path / "outputs" / "sweeps" / "s" / "seed=0" if is_sweep else tmp_path / "run"
    where = ("-m", "seed=0,1", "hydra.launcher.processes=1", "name=s") if is_sweep else ("hydra.run.dir=run",)
    whole = start(tmp_path, *settings, "hydra.run.dir=whole")
    assert whole.wait(timeout=60) == 0
    (tmp_path / "slow").write_text("0.3")
    process = start(tmp_path, *settings, *where)
    update = 2 * 20 if is_sweep else 20
    wait_until(
        lambda: n_slow_steps(tmp_path) > 2 * update + 2, process
    )  # in the third update; two come before the first
    said, n_more = stop(process, tmp_path)
    assert process.returncode == 130, said
    assert n_more <= (3 if is_sweep else 1), "in a sweep, the process that trains learns of it a moment later"
    assert saved_step(directory) == 40
    if not is_sweep:
        assert "the run will be saved and end after this step of its environments" in said
        assert "Now it is stepping its environments (slow.py, line" in said
    (tmp_path / "slow").unlink()
    again = start(tmp_path, "resume", str(directory.parent if is_sweep else directory), "--allow-plugins")
    assert again.wait(timeout=60) == 0, again.communicate()
    assert (directory / "metrics.jsonl").read_bytes() == (tmp_path / "whole" / "metrics.jsonl").read_bytes()


def test_the_first_rollout_of_a_run_can_be_left_too(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "slow").write_text("0.3")
    process = start(tmp_path, *SLOW_RUN, "total_steps=20", "hydra.run.dir=run")
    wait_until(lambda: n_slow_steps(tmp_path) > 4, process)  # two of them before anything is made
    _, n_more = stop(process, tmp_path)
    assert (process.returncode, n_more <= 1) == (130, True)
    (tmp_path / "slow").unlink()
    again = start(tmp_path, "resume", "run", "--allow-plugins")
    assert again.wait(timeout=60) == 0, again.communicate()
    assert json.loads((tmp_path / "run" / "status.json").read_text())["status"] == "done"


def test_one_ctrl_c_ends_an_endless_evaluation_and_a_resumed_run_plays_it(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "slow").touch()
    process = start(tmp_path, *SLOW_RUN, "eval.every=50", "total_steps=50", "hydra.run.dir=run")
    wait_until((tmp_path / "reached").exists, process)
    time.sleep(4.0)  # until the evaluation is called long
    (tmp_path / "slow").write_text("0.3")
    time.sleep(0.1)
    said, n_more = stop(process, tmp_path)
    assert (process.returncode, n_more <= 1) == (130, True), said
    assert "evaluation at env step 50: 10 episodes are being played" in said
    assert "Now it is playing the episodes of an evaluation (slow.py, line" in said
    assert saved_step(tmp_path / "run") == 50
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["status"] == "interrupted", "although all of its updates are made"
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    again = start(tmp_path, "resume", "run", "--allow-plugins")
    wait_until(lambda: json.loads((tmp_path / "run" / "status.json").read_text())["status"] == "running", again)
    time.sleep(1.0)
    said, n_more = stop(again, tmp_path)
    assert (again.returncode, n_more <= 1) == (130, True), said
    assert "Now it is playing the episodes of an evaluation" in said
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize("is_sweep", [False, True])
def test_one_ctrl_c_ends_a_long_replay_and_leaves_the_run_as_it_was(tmp_path: Path, is_sweep: bool) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    seeds = ("-m", "seed=0,1", "hydra.launcher.processes=1", "name=s") if is_sweep else ("hydra.run.dir=run",)
    first = start(tmp_path, *SLOW_RUN, "total_steps=100000000", *seeds)
    folder = tmp_path / "outputs" / "sweeps" / "s" if is_sweep else tmp_path / "run"
    logs = [folder / "seed=0", folder / "seed=1"] if is_sweep else [folder]
    wait_until(lambda: all((run / "metrics.jsonl").exists() and len(lines(run)) > 100 for run in logs), first)
    stop(first, tmp_path)
    before = contents(folder)
    (tmp_path / "slow").write_text("0.3")
    again = start(tmp_path, "resume", str(folder), "--allow-plugins")
    wait_until((tmp_path / "steps").exists, again)
    time.sleep(4.0)
    said, n_more = stop(again, tmp_path)
    assert again.returncode == 130, said
    assert n_more <= (3 if is_sweep else 1)
    assert contents(folder) == before
    if not is_sweep:
        assert f"the episodes that had begun before env step {saved_step(folder):,} are being played again" in said
    assert "Traceback" not in said


def lines(run: Path) -> list[bytes]:
    return (run / "metrics.jsonl").read_bytes().splitlines()


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
