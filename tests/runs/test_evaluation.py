"""Evaluation: whole episodes, unseen environments, and nothing that training would notice."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from acexp import load
from acexp.algorithm.assembly import build_policy, evaluation_engine, resolve
from acexp.algorithm.policy import play
from acexp.commands.evaluate import evaluate
from acexp.config import RunConfig
from acexp.core.errors import UserError
from acexp.core.estimators import iqm, summarize
from acexp.core.seeding import environment_seeds, streams
from acexp.metrics import Recorder
from acexp.runs import awaiting, evaluation, runner
from acexp.runs.outcome import Outcome
from acexp.runs.run import Run
from acexp.runs.run_directory import Status
from tests.helpers import metrics, return_of_first_evaluation
from tests.runs.test_resume import RESUME, assert_equal_runs, final, same

Acexp = Callable[..., subprocess.CompletedProcess[str]]
Config = Callable[..., RunConfig]
Train = Callable[..., list[Outcome]]

CHEETAH = ("env=halfcheetah", "env.max_episode_steps=40", "algo.n_envs=4", "algo.n_steps=8", "total_steps=3200")


def test_a_summary_by_hand() -> None:
    found = summarize([8, 1, 2, 3, 4, 5, 6, 7])
    assert found == (8, 4.5, pytest.approx(6**0.5), 4.5, 4.5, 1.0, 8.0)
    assert iqm(np.array([0.0, 0.0, 3.0, 5.0, 100.0, 200.0])) == (0 + 3 + 5 + 100) / 4, "one of six is cut at each end"
    assert summarize([3]).std == 0.0
    with pytest.raises(ValueError, match="nothing"):
        summarize([])


@pytest.mark.parametrize("mode", ["deterministic", "sampled"])
@pytest.mark.parametrize(
    "settings",
    [CHEETAH, ("env=cliffwalking", "total_steps=3200"), ("env=gym", "env.id=CartPole-v1", "engine=gymnasium")],
)
def test_training_is_the_same_to_the_last_bit_with_and_without_it(
    config: Config, train: Train, settings: tuple[str, ...], mode: str
) -> None:
    settings = (*settings, "total_steps=3200", "log.every=640", "normalizer=running")
    without = train(config(*settings), config(*settings, "seed=1"), name="without")
    evaluated = (*settings, "eval.every=700", "eval.episodes=3", f"eval.deterministic={mode == 'deterministic'}")
    beside = train(config(*evaluated), config(*evaluated, "seed=1"), name="beside")
    for mine, wanted in zip(beside, without, strict=True):
        lines = metrics(mine.directory)
        assert [line for line in lines if "eval/return_mean" not in line] == metrics(wanted.directory)
        assert sum("eval/return_mean" in line for line in lines) == 4
        assert same(final(mine.directory), final(wanted.directory))


class Asked:
    """Asks to stop at the nth call, and from then on."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self) -> bool:
        self.left -= 1
        return self.left <= 0


LOGGED = ("total_steps=3200", "log.every=640", "eval.every=700", "eval.episodes=3", "checkpoint.every=900")


@pytest.mark.parametrize("n", [10, 25, 60, 90, 110, 200])
def test_a_run_that_is_stopped_while_it_is_evaluated_ends_as_one_that_was_not(
    config: Config, train: Train, tmp_path: Path, n: int
) -> None:
    settings = [config(*CHEETAH, *LOGGED, f"seed={seed}") for seed in range(2)]
    whole = train(*settings, name="whole")
    runs = [Run(each, tmp_path / f"broken{i}") for i, each in enumerate(settings)]
    outcomes = runner.train(runs, should_stop=Asked(n))
    assert {outcome.status for outcome in outcomes} == {Status.INTERRUPTED}
    outcomes = runner.train(runs, RESUME)
    assert {(outcome.status, outcome.resume) for outcome in outcomes} == {(Status.DONE, "exact")}
    for mine, wanted in zip(outcomes, whole, strict=True):
        assert_equal_runs(mine.directory, wanted.directory)


@pytest.mark.parametrize("n_logged", [0, 1, 2])
def test_a_run_that_is_killed_after_an_evaluation_does_not_log_it_twice(
    config: Config, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_logged: int
) -> None:
    """Its last checkpoint is that of before the evaluation, which some of the members had logged."""
    settings = [config(*CHEETAH, *LOGGED, f"seed={seed}") for seed in range(2)]
    whole = train(*settings, name="whole")
    runs = [Run(each, tmp_path / f"broken{i}") for i, each in enumerate(settings)]

    class KilledError(BaseException):
        pass

    real, notes = Recorder.note, 0

    def note(self: Recorder, member: int, scalars: Any) -> None:
        nonlocal notes
        if notes == 2 + n_logged:
            raise KilledError
        notes += 1
        real(self, member, scalars)

    with monkeypatch.context() as patched:
        patched.setattr(Recorder, "note", note)
        with pytest.raises(KilledError):
            runner.train(runs)
    outcomes = runner.train(runs, RESUME)
    for mine, wanted in zip(outcomes, whole, strict=True):
        assert_equal_runs(mine.directory, wanted.directory)


def test_the_command_writes_what_it_found(acexp: Acexp, tmp_path: Path) -> None:
    assert acexp("-m", *CHEETAH, "seed=0,1", "name=sweep").returncode == 0
    sweep = tmp_path / "outputs" / "sweeps" / "sweep"
    policies = {path: path.read_bytes() for path in sweep.glob("*/policy.safetensors")}
    assert len(policies) == 2
    result = acexp("eval", str(sweep), "--episodes", "7")
    assert result.returncode == 0, result.stdout + result.stderr
    for directory in (path.parent for path in policies):
        found = json.loads((directory / "eval.json").read_text())
        assert found["lengths"] == [40] * 7
        assert found["return"]["n"] == len(found["returns"]) == 7
        assert found["return"]["mean"] == pytest.approx(np.mean(found["returns"]))
        assert (found["step"], found["deterministic"]) == (3200, True)
        assert f"{found['return']['mean']:,.1f}" in result.stdout
        events = EventAccumulator(str(directory)).Reload()
        (event,) = events.Scalars("eval/return_iqm")
        assert event.step == 3200
        assert event.value == pytest.approx(found["return"]["iqm"])
    assert {path: path.read_bytes() for path in policies} == policies
    (first, *_) = (path.parent for path in policies)
    before = (first / "eval.json").read_bytes()
    assert acexp("eval", str(first), "--episodes", "7").returncode == 0
    assert (first / "eval.json").read_bytes() == before, "the same episodes again"
    assert acexp("eval", str(first), "--episodes", "7", "--stochastic").returncode == 0
    assert json.loads((first / "eval.json").read_text())["returns"] != json.loads(before)["returns"]


def test_evaluation_equals_a_loop_in_gymnasium(config: Config, train: Train) -> None:
    """The network written out from the saved tensors, the episodes stepped one by one."""
    settings = config(*CHEETAH, "normalizer=running", "arch=separate", "seed=3")
    (outcome,) = train(settings)
    found = evaluation.evaluate(outcome.directory, 3, deterministic=True)
    saved = load_file(outcome.directory / "policy.safetensors")

    def actor(observation: Any) -> Any:
        mean, scale = saved["normalizer.observation.used_mean"][0], saved["normalizer.observation.used_scale"][0]
        x = ((torch.as_tensor(observation, dtype=torch.float32) - mean) * scale).clamp(-10, 10)
        for layer in ("hidden0", "hidden1"):
            x = torch.tanh(x @ saved[f"actor.{layer}.weight"] + saved[f"actor.{layer}.bias"])
        return (x @ saved["actor.policy.weight"] + saved["actor.policy.bias"]).clamp(-1, 1).numpy()

    seeds = environment_seeds(streams(3).evaluation, 3)
    for expected, seed in zip(found.returns, seeds, strict=True):
        env = gym.make("HalfCheetah-v5", max_episode_steps=40)
        observation, _ = env.reset(seed=seed)
        total = 0.0
        for _ in range(40):
            observation, reward, *_ = env.step(actor(observation))
            total += float(reward)
        env.close()
        assert expected == pytest.approx(total, rel=1e-3, abs=1e-3)


def test_every_environment_plays_its_share(config: Config) -> None:
    settings = resolve(config("env=cliffwalking", "env.max_episode_steps=6"))
    engine = evaluation_engine([settings, settings], 3)
    policy = build_policy([settings, settings], engine, torch.device("cpu"))
    played = play(policy, engine, 7)
    engine.close()
    assert [len(episodes) for episodes in played] == [7, 7]
    assert {episode.length for episodes in played for episode in episodes} <= set(range(1, 7))
    assert [episode.member for episodes in played for episode in episodes] == [0] * 7 + [1] * 7


def test_its_environments_are_not_those_of_training() -> None:
    for seed in range(20):
        mine, others = streams(seed).evaluation, streams(seed).environments
        assert not set(environment_seeds(mine, 32)) & set(environment_seeds(others, 64))


def test_what_cannot_be_evaluated_says_why(acexp: Acexp, config: Config, train: Train, tmp_path: Path) -> None:
    (outcome,) = train(config("total_steps=320"))
    policy = outcome.directory / "policy.safetensors"
    policy.write_bytes(policy.read_bytes()[:100])
    with pytest.raises(UserError, match="cannot be read"):
        evaluation.evaluate(outcome.directory, 1, deterministic=True)
    policy.unlink()
    with pytest.raises(UserError, match="saved no networks"):
        evaluation.evaluate(outcome.directory, 1, deterministic=True)
    result = acexp("eval", str(outcome.directory), "--episodes", "0")
    assert result.returncode == 2
    assert "at least one episode" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "settings", [CHEETAH, ("env=gym", "env.id=CartPole-v1", "engine=gymnasium", "total_steps=3200")]
)
def test_a_loaded_agent_plays_what_the_evaluation_played(
    config: Config, train: Train, settings: tuple[str, ...]
) -> None:
    (outcome,) = train(config(*settings))
    found = evaluation.evaluate(outcome.directory, 1, deterministic=True)
    agent = load(outcome.directory)
    env = gym.make(agent.config.env.id, max_episode_steps=agent.config.env.max_episode_steps)
    total = return_of_first_evaluation(agent, env)
    assert total == pytest.approx(found.returns[0], rel=1e-6)
    assert env.action_space.contains(agent.act(env.reset()[0], deterministic=False))
    env.close()
    assert agent.step == 3200


def test_what_is_nested_can_be_acted_on(config: Config, train: Train) -> None:
    (outcome,) = train(config("env=gym", "env.id=Blackjack-v1", "total_steps=320"))
    agent = load(outcome.directory)
    env = gym.make("Blackjack-v1")
    observation, _ = env.reset(seed=0)
    assert isinstance(observation, tuple)
    assert agent.act(observation) in (0, 1)


def test_an_interrupted_evaluation_says_what_it_has_written(
    config: Config, train: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two runs that cannot be evaluated together, the second is interrupted."""
    small = ("env=cliffwalking", "algo.n_envs=2", "algo.n_steps=4", "total_steps=80")
    for width in (4, 8):
        train(config(*small, f"arch.hidden_sizes=[{width}]"), name=f"sweep/{width}-")
    real, calls = evaluation.evaluate_together, 0

    def interrupted(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(evaluation, "evaluate_together", interrupted)
    assert evaluate([str(tmp_path / "sweep"), "--episodes", "2"]) == 130
    assert "interrupted: 1 runs were evaluated and 1 were not" in capsys.readouterr().out
    assert len(list(tmp_path.glob("sweep/*/eval.json"))) == 1


def test_a_long_evaluation_says_that_it_is_played(
    config: Config, train: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ("env=cliffwalking", "algo.n_envs=2", "algo.n_steps=4", "total_steps=80")
    train(*(config(*small, f"seed={seed}") for seed in range(2)), name="sweep/seed=")
    runs = sorted(tmp_path.glob("sweep/*"))
    monkeypatch.setattr(awaiting, "PATIENCE_SECONDS", float("inf"))
    assert evaluate([str(tmp_path / "sweep"), "--episodes", "3"]) == 0
    assert "evaluation" not in capsys.readouterr().out, "it is short"
    monkeypatch.setattr(awaiting, "PATIENCE_SECONDS", 0.0)
    assert evaluate([str(tmp_path / "sweep"), "--episodes", "3"]) == 0
    assert capsys.readouterr().out.count("evaluation: 2 runs play 3 episodes each") == 1
    train(config(*small, "arch.hidden_sizes=[4]"), name="sweep/narrow-")
    assert evaluate([str(tmp_path / "sweep"), "--episodes", "3"]) == 0
    assert capsys.readouterr().out.count("evaluation:") == 1, "once, although two networks differ in their shapes"
    assert evaluate([str(runs[0]), "--episodes", "3"]) == 0
    assert "evaluation: 1 run plays 3 episodes" in capsys.readouterr().out
