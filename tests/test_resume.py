"""A run that was stopped or killed goes on as if nothing had happened, to the last bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from acexp import runner
from acexp.config import RunConfig
from acexp.core.errors import UserError
from acexp.run_directory import Status
from acexp.runner import Outcome
from tests.conftest import REPOSITORY, metrics

Acexp = Callable[..., subprocess.CompletedProcess[str]]
Config = Callable[..., RunConfig]
Train = Callable[..., list[Outcome]]

CHEETAH = ("env=halfcheetah", "arch=shared", "total_steps=30000", "log.every=700", "checkpoint.every=2000")


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "acexp", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_lines(directory: Path, n: int) -> None:
    deadline = time.monotonic() + 60
    path = directory / "metrics.jsonl"
    while not path.exists() or path.read_bytes().count(b"\n") < n:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def final(directory: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(directory / "checkpoint.pt", weights_only=True)
    return content


def same(mine: Any, wanted: Any) -> bool:
    """Equal to the bit, tensors and plain values."""
    if isinstance(wanted, torch.Tensor):
        return torch.equal(mine, wanted)
    if isinstance(wanted, dict):
        return mine.keys() == wanted.keys() and all(same(mine[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list | tuple):
        return len(mine) == len(wanted) and all(same(*pair) for pair in zip(mine, wanted, strict=True))
    return bool(mine == wanted)


def assert_equal_runs(mine: Path, wanted: Path) -> None:
    assert (mine / "metrics.jsonl").read_bytes() == (wanted / "metrics.jsonl").read_bytes()
    assert same(final(mine), final(wanted))


def test_a_run_that_is_stopped_and_killed_ends_as_one_that_was_not(acexp: Acexp, tmp_path: Path) -> None:
    assert acexp(*CHEETAH, "hydra.run.dir=whole").returncode == 0
    whole, broken = tmp_path / "whole", tmp_path / "broken"

    first = start(tmp_path, *CHEETAH, "hydra.run.dir=broken")
    wait_for_lines(broken, 5)
    first.send_signal(signal.SIGTERM)
    said, _ = first.communicate(timeout=60)
    assert first.returncode == 128 + signal.SIGTERM, said
    assert "acexp resume broken" in said
    assert json.loads((broken / "status.json").read_text())["status"] == "interrupted"

    rng = random.Random(0)
    for _ in range(3):
        n_lines = (broken / "metrics.jsonl").read_bytes().count(b"\n")
        again = start(tmp_path, "resume", "broken")
        wait_for_lines(broken, n_lines + 2)
        time.sleep(rng.uniform(0.0, 0.2))
        again.kill()
        again.communicate()
    last = acexp("resume", "broken")
    assert last.returncode == 0, last.stdout + last.stderr
    assert_equal_runs(broken, whole)
    status = json.loads((broken / "status.json").read_text())
    assert (status["status"], status["resume"]) == ("done", "exact")
    events = EventAccumulator(str(broken), size_guidance={"scalars": 0}).Reload()
    steps = [event.step for event in events.Scalars("losses/critic")]
    assert steps == [line["step"] for line in metrics(broken)]

    done = acexp("resume", "broken")
    assert (done.returncode, "nothing to resume" in done.stdout) == (0, True)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR2"])
def test_signals_save_and_end_with_their_own_code(tmp_path: Path, name: str) -> None:
    number = getattr(signal, name)
    process = start(tmp_path, "env=cliffwalking", "total_steps=100000000", "hydra.run.dir=run")
    wait_for_lines(tmp_path / "run", 2)
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number, said
    assert final(tmp_path / "run")["step"] == json.loads((tmp_path / "run" / "status.json").read_text())["steps"]
    assert "Traceback" not in said


def test_two_processes_never_write_one_run(tmp_path: Path, acexp: Acexp) -> None:
    process = start(tmp_path, "env=cliffwalking", "total_steps=100000000", "hydra.run.dir=run")
    wait_for_lines(tmp_path / "run", 2)
    second = acexp("resume", "run")
    assert second.returncode == 2
    assert f"Another process writes this run: process {process.pid}" in second.stderr
    process.kill()
    process.communicate()
    third = start(tmp_path, "resume", "run")
    wait_for_lines(tmp_path / "run", (tmp_path / "run" / "metrics.jsonl").read_bytes().count(b"\n") + 2)
    third.send_signal(signal.SIGINT)
    assert third.communicate(timeout=60) is not None
    assert third.returncode == 130, "the lock went with the process that was killed"


def test_a_run_without_a_checkpoint_begins_afresh(config: Config, train: Train) -> None:
    settings = ("env=cliffwalking", "total_steps=3000", "log.every=300")
    (whole,) = train(config(*settings), name="whole")
    (broken,) = train(config(*settings), name="broken")
    for path in broken.directory.glob("checkpoint*"):
        path.unlink()
    (resumed,) = runner.run([config(*settings)], [broken.directory], resume=True)
    assert resumed.status is Status.DONE
    assert_equal_runs(broken.directory, whole.directory)


def test_engines_without_state_resume_approximately(config: Config, train: Train) -> None:
    """At the end of its budget there is nothing to train, but everything to load."""
    settings = config("env=pong", "engine=ale", "a2c.n_envs=2", "total_steps=64")
    (outcome,) = train(settings)
    (resumed,) = runner.run([settings], [outcome.directory], resume=True)
    assert resumed.status is Status.DONE
    assert json.loads((outcome.directory / "status.json").read_text())["resume"] == "approximate"


def test_a_run_of_somebody_elses_imports_nothing_unasked(acexp: Acexp, tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text("open('ran', 'w').close()")
    assert acexp("total_steps=200", "plugins=[theirs]", "hydra.run.dir=run").returncode == 0
    (tmp_path / "ran").unlink()
    status = tmp_path / "run" / "status.json"
    status.write_text(status.read_text().replace('"done"', '"interrupted"'))
    refused = acexp("resume", "run")
    assert refused.returncode == 2
    assert "--allow-plugins" in refused.stderr
    assert not (tmp_path / "ran").exists()
    assert acexp("resume", "run", "--allow-plugins").returncode == 0
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("what", ["nothing", "a file", "an empty folder"])
def test_what_is_no_run_is_refused(acexp: Acexp, tmp_path: Path, what: str) -> None:
    if what == "a file":
        (tmp_path / "run").write_text("")
    if what == "an empty folder":
        (tmp_path / "run").mkdir()
    result = acexp("resume", "run")
    assert result.returncode == 2
    assert "no run directory" in result.stderr
    assert "Traceback" not in result.stderr


def test_runs_that_have_not_come_equally_far_are_no_population(config: Config, train: Train) -> None:
    one, two = config("total_steps=400"), config("total_steps=400", "seed=1")
    (first,) = train(one, name="first")
    (second,) = train(config("total_steps=800", "seed=1"), name="second")
    with pytest.raises(UserError, match="equally far"):
        runner.run([one, two], [first.directory, second.directory], resume=True)


class Poisoned(gym.Env[Any, Any]):
    """Gives something that is not a number, once."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (3,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, what: str, at: int) -> None:
        self.what, self.at, self.t = what, at, 0

    def _observe(self) -> Any:
        poison = np.nan if (self.what, self.at) == ("observation", self.t) else 0.5
        return np.full(3, poison, np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.t += 1
        reward = np.inf if (self.what, self.at) == ("reward", self.t) else 1.0
        return self._observe(), float(reward), False, self.t % 10 == 0, {}


gym.register("Poisoned-v0", Poisoned)


@pytest.mark.parametrize("normalizer", ["normalizer=running", "normalizer=none"])
@pytest.mark.parametrize("what", ["observation", "reward"])
def test_what_is_not_finite_reaches_neither_weights_nor_checkpoints(
    config: Config, train: Train, what: str, normalizer: str
) -> None:
    settings = ("env=gym", "env.id=Poisoned-v0", f"+env.kwargs={{what: {what}, at: 95}}", normalizer)
    settings += ("reward_normalizer=return_std", "a2c.n_envs=2", "a2c.n_steps=5", "total_steps=400")
    (outcome,) = train(config(*settings, "checkpoint.every=40", "log.every=40"))
    assert outcome.status is Status.DIVERGED
    # The 95th step is slot 104, since 9 episodes have ended: the 21st rollout of 5 steps in 2 environments.
    assert outcome.steps == 210
    content = final(outcome.directory)
    assert content["step"] == 200
    for tensor in content["member"]["tensors"].values():
        assert tensor.isfinite().all()
