"""A run that was stopped or killed goes on as if nothing had happened, to the last bit."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from acexp.architectures.separate import Separate
from acexp.config import RunConfig
from acexp.core.errors import UserError
from acexp.core.losses import Objective
from acexp.metrics import Silent
from acexp.runs import runner
from acexp.runs.outcome import Outcome
from acexp.runs.run import Run, TrainOptions
from acexp.runs.run_directory import Status
from acexp.system.signals import STOPPING, stoppable
from tests.helpers import Process, contents, metrics, start, wait_until

RESUME = TrainOptions(resume=True)
Acexp = Callable[..., subprocess.CompletedProcess[str]]
Config = Callable[..., RunConfig]
Train = Callable[..., list[Outcome]]

CHEETAH = ("env=halfcheetah", "arch=shared", "total_steps=30000", "log.every=700", "checkpoint.every=2000")


def wait_for_lines(directory: Path, n: int, process: Process) -> None:
    path = directory / "metrics.jsonl"
    wait_until(lambda: path.exists() and path.read_bytes().count(b"\n") >= n, process)


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


@pytest.mark.long
def test_a_run_that_is_stopped_and_killed_ends_as_one_that_was_not(acexp: Acexp, tmp_path: Path) -> None:
    assert acexp(*CHEETAH, "hydra.run.dir=whole").returncode == 0
    whole, broken = tmp_path / "whole", tmp_path / "broken"

    first = start(tmp_path, *CHEETAH, "hydra.run.dir=broken")
    wait_for_lines(broken, 5, first)
    first.send_signal(signal.SIGTERM)
    said, _ = first.communicate(timeout=60)
    assert first.returncode == 128 + signal.SIGTERM, said
    assert "acexp resume broken" in said
    assert json.loads((broken / "status.json").read_text())["status"] == "interrupted"

    rng = random.Random(0)
    for _ in range(3):
        n_lines = (broken / "metrics.jsonl").read_bytes().count(b"\n")
        again = start(tmp_path, "resume", "broken")
        wait_for_lines(broken, n_lines + 2, again)
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


LEARNERS = {
    "ppo": ("algo=ppo", "algo.minibatches=4", "algo.target_kl=1e-3", "algo.clip_anneal=cosine"),
    "beta": ("policy=beta", "algo=ppo", "arch.layer_norm=true"),
    "std of the network": ("policy=gaussian", "policy.std=network", "algo.entropy_coef=0.01", "optim.anneal=cosine"),
    "sides that differ": ("arch.layer_norm=true", "arch.actor.hidden_sizes=[8]", "optim.final_share=0.5"),
    "ppo dual shared": ("algo=ppo", "algo.minibatches=2", "optim=dual", "arch=shared", "optim.trunk=critic"),
    "squashed": ("policy=squashed", "algo=ppo", "algo.clip_values=true"),
}
OF_MEMBERS = (
    ("seed=0", "optim.learning_rate=1e-3", "algo.gamma=0.9"),
    ("seed=1", "optim.learning_rate=3e-3", "algo.entropy_coef=0.05"),
    ("seed=2", "optim.learning_rate=1e-2", "clip.max_norm=0.1"),
)


@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
def test_every_kind_of_learning_resumes_to_the_last_bit(
    config: Config, tmp_path: Path, learner: tuple[str, ...], n_members: int
) -> None:
    """Stopped in the middle, and continued."""
    small = ("env=halfcheetah", "algo.n_envs=3", "algo.n_steps=8", "total_steps=720", "log.every=48")
    members = [config(*small, *learner, *member) for member in OF_MEMBERS[:n_members]]

    def runs(name: str) -> list[Run]:
        return [Run(member, tmp_path / f"{name}{i}") for i, member in enumerate(members)]

    runner.train(runs("whole"))
    paused = runner.train(runs("broken"), TrainOptions(until=400))
    assert [outcome.steps for outcome in paused] == [408] * n_members
    resumed = runner.train(runs("broken"), RESUME)
    assert [(outcome.status, outcome.resume) for outcome in resumed] == [(Status.DONE, "exact")] * n_members
    for broken, whole in zip(runs("broken"), runs("whole"), strict=True):
        assert_equal_runs(broken.directory, whole.directory)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR2", "SIGHUP"])
def test_signals_save_and_end_with_their_own_code(tmp_path: Path, name: str) -> None:
    number = getattr(signal, name)
    process = start(tmp_path, "env=cliffwalking", "total_steps=100000000", "hydra.run.dir=run")
    wait_for_lines(tmp_path / "run", 2, process)
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number, said
    assert final(tmp_path / "run")["step"] == json.loads((tmp_path / "run" / "status.json").read_text())["steps"]
    assert "Traceback" not in said


def test_handlers_are_given_back(config: Config, train: Train) -> None:
    def mine(number: int, frame: Any) -> None:
        raise AssertionError

    before = signal.signal(signal.SIGTERM, mine)
    try:
        train(config("total_steps=64"))
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_signal_at_the_end_does_not_end_what_is_about_to_end(config: Config, tmp_path: Path) -> None:
    """Training is over, but its results are not written yet."""

    class Late(Silent):
        def close(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    taken: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: taken.append(number))
    try:
        (outcome,) = runner.train([Run(config("total_steps=64"), tmp_path / "run")], display=Late())
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (outcome.status, taken) == (Status.DONE, [])


@pytest.mark.parametrize("is_asked_first", [True, False])
def test_a_closed_request_ignores_signals_for_good(is_asked_first: bool) -> None:
    before = {number: signal.getsignal(number) for number in STOPPING}
    try:
        with stoppable() as request:
            if is_asked_first:
                os.kill(os.getpid(), signal.SIGTERM)
            request.close()
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert request.number == (signal.SIGTERM if is_asked_first else None)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_two_processes_never_write_one_run(tmp_path: Path, acexp: Acexp) -> None:
    process = start(tmp_path, "env=cliffwalking", "total_steps=100000000", "hydra.run.dir=run")
    wait_for_lines(tmp_path / "run", 2, process)
    second = acexp("resume", "run")
    assert second.returncode == 2
    assert f"Another process writes this run: process {process.pid}" in second.stderr
    process.kill()
    process.communicate()
    third = start(tmp_path, "resume", "run")
    wait_for_lines(tmp_path / "run", (tmp_path / "run" / "metrics.jsonl").read_bytes().count(b"\n") + 2, third)
    third.send_signal(signal.SIGINT)
    assert third.communicate(timeout=60) is not None
    assert third.returncode == 130, "the lock went with the process that was killed"


def test_a_run_without_a_checkpoint_begins_afresh(config: Config, train: Train) -> None:
    settings = ("env=cliffwalking", "total_steps=3000", "log.every=300")
    (whole,) = train(config(*settings), name="whole")
    (broken,) = train(config(*settings), name="broken")
    for path in broken.directory.glob("checkpoint*"):
        path.unlink()
    (resumed,) = runner.train([Run(config(*settings), broken.directory)], RESUME)
    assert resumed.status is Status.DONE
    assert_equal_runs(broken.directory, whole.directory)


def test_engines_without_state_resume_approximately(config: Config, train: Train) -> None:
    """At the end of its budget there is nothing to train, but everything to load."""
    settings = config("env=pong", "engine=ale", "algo.n_envs=2", "total_steps=64")
    (outcome,) = train(settings)
    (resumed,) = runner.train([Run(settings, outcome.directory)], RESUME)
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


def test_a_module_in_an_environments_id_is_somebody_elses_code_too(acexp: Acexp, tmp_path: Path) -> None:
    assert acexp("total_steps=200", "hydra.run.dir=run").returncode == 0
    config, status = tmp_path / "run" / "config.yaml", tmp_path / "run" / "status.json"
    config.write_text(config.read_text().replace("id: CliffWalking-v1", "id: theirs:CliffWalking-v1"))
    status.write_text(status.read_text().replace('"done"', '"interrupted"'))
    (tmp_path / "theirs.py").write_text("open('ran', 'w').close()")
    refused = acexp("resume", "run")
    assert refused.returncode == 2
    assert "--allow-plugins" in refused.stderr
    assert not (tmp_path / "ran").exists()


def test_a_changed_config_is_shown_and_refused_unless_allowed(acexp: Acexp, tmp_path: Path) -> None:
    assert acexp("total_steps=1920", "hydra.run.dir=run").returncode == 0
    config, status = tmp_path / "run" / "config.yaml", tmp_path / "run" / "status.json"
    before = {path: path.read_bytes() for path in (tmp_path / "run").glob("*.jsonl")}
    config.write_text(
        config.read_text().replace("total_steps: 1920", "total_steps: 3840").replace("every: 1000", "every: 500")
    )
    assert "nothing to resume" in acexp("resume", "run").stdout
    status.write_text(status.read_text().replace('"done"', '"interrupted"'))
    refused = acexp("resume", "run")
    assert refused.returncode == 2
    assert "total_steps: 1920 -> 3840" in refused.stderr
    assert "every" not in refused.stderr, "how often it is written is no part of what it is"
    assert "--allow-changes" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert {path: path.read_bytes() for path in before} == before
    allowed = acexp("resume", "run", "--allow-changes")
    assert allowed.returncode == 0, allowed.stderr
    told = json.loads(status.read_text())
    assert (told["status"], told["steps"]) == ("done", 3840)
    assert told["changes"] == [{"step": 1920, "changes": ["total_steps: 1920 -> 3840"]}]
    assert acexp("resume", "run").returncode == 0


def test_a_config_of_another_size_cannot_be_resumed(acexp: Acexp, tmp_path: Path) -> None:
    assert acexp("total_steps=2000", "hydra.run.dir=run").returncode == 0
    config = tmp_path / "run" / "config.yaml"
    config.write_text(
        config.read_text().replace("total_steps: 2000", "total_steps: 4000").replace("n_envs: 4", "n_envs: 5")
    )
    result = acexp("resume", "run", "--allow-changes")
    assert result.returncode == 2
    assert "of another size" in result.stderr
    assert "Traceback" not in result.stderr


def change(directory: Path, *replacements: tuple[str, str]) -> None:
    """Replace texts in the config.yaml of a run that was trained for 1920 steps, to go on to 3840."""
    config = directory / "config.yaml"
    text = config.read_text()
    for before, after in (("total_steps: 1920", "total_steps: 3840"), *replacements):
        assert before in text
        text = text.replace(before, after)
    config.write_text(text)


@pytest.mark.parametrize("is_sweep", [False, True])
@pytest.mark.parametrize("what", ["sizes", "log"])
def test_a_resume_that_is_refused_changes_nothing(acexp: Acexp, tmp_path: Path, what: str, is_sweep: bool) -> None:
    command = ("-m", "seed=0,1", "name=s") if is_sweep else ("hydra.run.dir=run",)
    assert acexp("total_steps=1920", *command).returncode == 0
    folder = tmp_path / "outputs" / "sweeps" / "s" if is_sweep else tmp_path / "run"
    runs = [folder / "seed=0", folder / "seed=1"] if is_sweep else [folder]
    for run in runs:
        change(run, *([("- 64", "- 32")] if what == "sizes" else []))
    if what == "log":
        log = runs[-1] / "metrics.jsonl"
        log.write_bytes(b"damaged\n" + log.read_bytes())
    unchanged = runs if what == "sizes" else runs[-1:]
    before = [contents(run) for run in unchanged]
    refused = acexp("resume", str(folder), "--allow-changes")
    assert refused.returncode == (1 if is_sweep else 2), refused.stdout + refused.stderr
    expected = "of another size" if what == "sizes" else "Line 1 of metrics.jsonl cannot be read"
    assert expected in (refused.stdout if is_sweep else refused.stderr)
    assert "Traceback" not in refused.stdout + refused.stderr
    assert [contents(run) for run in unchanged] == before


def test_a_rate_that_jumps_is_said_in_one_line(acexp: Acexp, tmp_path: Path) -> None:
    """It was annealed to 0 at 1,920 steps, and is annealed to 0 at 3,840 now, of which half are made."""
    said = (
        "optim.learning_rate jumps from 0 to 0.002 at env step 1,920: it is annealed over total_steps, which was 1,920 "
        "and is 3,840."
    )
    settings = ("total_steps=1920", "optim.learning_rate=4e-3")
    for command in (("hydra.run.dir=run",), ("-m", "seed=0,1", "name=s")):
        assert acexp(*settings, *command).returncode == 0
    change(tmp_path / "run")
    assert said in acexp("resume", "run", "--allow-changes").stdout.split("training for")[0]
    sweep = tmp_path / "outputs" / "sweeps" / "s"
    for seed in range(2):
        change(sweep / f"seed={seed}")
    assert f"note, for 2 of 2 runs: {said}" in acexp("resume", str(sweep), "--allow-changes").stdout


def test_no_rate_jumps_that_is_not_annealed(acexp: Acexp, tmp_path: Path) -> None:
    assert acexp("total_steps=1920", "optim.anneal=none", "hydra.run.dir=run").returncode == 0
    change(tmp_path / "run")
    resumed = acexp("resume", "run", "--allow-changes")
    assert (resumed.returncode, "jumps" in resumed.stdout) == (0, False)


def test_a_done_run_whose_config_was_changed_says_so(acexp: Acexp, tmp_path: Path) -> None:
    assert acexp("total_steps=1920", "hydra.run.dir=run").returncode == 0
    assert "changed" not in acexp("resume", "run").stdout
    change(tmp_path / "run")
    told = acexp("resume", "run")
    assert (told.returncode, "nothing to resume" in told.stdout) == (0, True)
    assert "config.yaml was changed since" in told.stdout
    assert "total_steps: 1920 -> 3840" in told.stdout
    assert "--allow-changes" in told.stdout


def test_a_run_that_has_diverged_is_left_alone(acexp: Acexp, tmp_path: Path) -> None:
    settings = ("env=halfcheetah", "algo.n_envs=2", "total_steps=2000", "clip=none", "optim.algorithm=sgd")
    failed = acexp(*settings, "optim.learning_rate=1e30", "hydra.run.dir=run")
    assert failed.returncode == 1, failed.stderr
    again = acexp("resume", "run")
    assert again.returncode == 0, again.stderr
    assert "it has diverged" in again.stdout


class Interrupting:
    """Calls a function, and sends a signal to this process right before the nth time."""

    def __init__(self, real: Callable[..., Any], n: int, number: int) -> None:
        self.real, self.left, self.number = real, n, number

    def __call__(self, *arguments: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)
        return self.real(*arguments)


@pytest.mark.parametrize("n", range(1, 7))
def test_a_signal_during_a_save(config: Config, train: Train, monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    """The save ends, the run ends, and goes on as if nothing had been."""
    settings = config("env=cliffwalking", "total_steps=6400", "log.every=640", "checkpoint.every=1280")
    (whole,) = train(settings, name="whole")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", Interrupting(os.fsync, n, signal.SIGTERM))
        (broken,) = train(settings, name="broken")
    assert (broken.status, broken.signal) == (Status.INTERRUPTED, signal.SIGTERM)
    assert 1280 <= broken.steps < 6400
    (resumed,) = runner.train([Run(settings, broken.directory)], RESUME)
    assert (resumed.status, resumed.resume) == (Status.DONE, "exact")
    assert_equal_runs(broken.directory, whole.directory)


@pytest.mark.parametrize("problem", [errno.ENOSPC, errno.EROFS, errno.EIO], ids=errno.errorcode.get)
def test_a_disk_that_fails_loses_nothing(
    config: Config, train: Train, monkeypatch: pytest.MonkeyPatch, problem: int
) -> None:
    """The second checkpoint cannot be written; the first one is gone on from."""
    settings = config("env=cliffwalking", "total_steps=6400", "log.every=640", "checkpoint.every=1280")
    (whole,) = train(settings, name="whole")
    real, calls = os.fsync, 0

    def failing(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 6:
            raise OSError(problem, os.strerror(problem))
        real(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing)
        (broken,) = train(settings, name="broken")
    assert broken.status is Status.FAILED
    assert os.strerror(problem) in (broken.error or "")
    assert final(broken.directory)["step"] == 1280
    (resumed,) = runner.train([Run(settings, broken.directory)], RESUME)
    assert resumed.status is Status.DONE
    assert_equal_runs(broken.directory, whole.directory)


SLOW = """
import time
import gymnasium as gym
import numpy as np


class Slow(gym.Env):
    observation_space = gym.spaces.Box(-1.0, 1.0, (3,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(3, np.float32), {}

    n_steps = 0

    def step(self, action):
        self.n_steps += 1
        if self.n_steps == 50:  # later than it is looked at before training
            open("stepping", "w").close()
            time.sleep(600)
        return np.zeros(3, np.float32), 1.0, False, False, {}


gym.register("Slow-v0", Slow)
"""


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    process = start(tmp_path, "plugins=[slow]", "env=gym", "env.id=Slow-v0")
    wait_until((tmp_path / "stepping").exists, process)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert process.poll() is None, "the first one waits for the update's end"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode == -signal.SIGTERM


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
        runner.train([Run(one, first.directory), Run(two, second.directory)], RESUME)


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


@pytest.mark.parametrize("where", ["the loss", "the gradient"])
def test_what_is_not_finite_in_an_update_is_named(
    config: Config, train: Train, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """In the 5th update of 20 slots, of the second of two members; the first goes on."""
    count = 0
    real = Objective.output_gradients if where == "the loss" else Separate.evaluate

    def poisoned(self: Any, *arguments: Any) -> Any:
        nonlocal count
        count += 1
        result = real(self, *arguments)
        if count != 5:
            return result
        if where == "the loss":
            result["joint"][1][1] = torch.nan
            return result
        policy, values, backward = result

        def wrong(*arguments: Any) -> torch.Tensor:
            gradient: torch.Tensor = backward(*arguments)
            gradient[1, -1] = torch.inf
            return gradient

        return policy, values, wrong

    monkeypatch.setattr(*((Objective, "output_gradients") if where == "the loss" else (Separate, "evaluate")), poisoned)
    settings = ("env=cliffwalking", "algo.n_envs=4", "algo.n_steps=5", "total_steps=400", "checkpoint.every=20")
    good, bad = train(config(*settings), config(*settings, "seed=1"))
    assert good.status is Status.DONE
    assert (bad.status, bad.steps) == (Status.DIVERGED, 100)
    assert bad.error is not None
    assert bad.error.startswith(
        "the gradient of the joint loss with respect to the critic's parameters is not finite at env step 100"
    )
    assert "optim.learning_rate=" in bad.error
    content = final(bad.directory)
    assert content["step"] == 80
    assert all(tensor.isfinite().all() for tensor in content["member"]["tensors"].values())


@pytest.mark.parametrize("normalizer", ["normalizer=running", "normalizer=none"])
@pytest.mark.parametrize("what", ["observation", "reward"])
def test_what_is_not_finite_fails_its_run_and_reaches_neither_weights_nor_checkpoints(
    config: Config, train: Train, what: str, normalizer: str
) -> None:
    settings = ("env=gym", "env.id=Poisoned-v0", f"+env.kwargs={{what: {what}, at: 95}}", normalizer)
    settings += ("reward_normalizer=return_std", "algo.n_envs=2", "algo.n_steps=5", "total_steps=400")
    (outcome,) = train(config(*settings, "checkpoint.every=40", "log.every=40"))
    assert outcome.status is Status.FAILED
    # The 95th step is slot 104, since 9 episodes have ended: the 21st rollout of 5 steps in 2 environments.
    assert outcome.steps == 200
    assert outcome.error is not None
    assert outcome.error.startswith(f"Poisoned-v0, seed 0, env step 207: step() returned the {what}")
    assert "learning_rate" not in outcome.error
    content = final(outcome.directory)
    assert content["step"] == 200
    for tensor in content["member"]["tensors"].values():
        assert tensor.isfinite().all()
