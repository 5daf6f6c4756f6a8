"""The best policy by evaluation during training: which one it is, over stops too, and what is done with it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from safetensors import safe_open
from safetensors.torch import load_file

from acexp import load
from acexp.config import RunConfig
from acexp.core.errors import UserError
from acexp.core.seeding import environment_seeds, evaluation_stream
from acexp.export import export
from acexp.runs import evaluation, runner
from acexp.runs.outcome import Outcome
from acexp.runs.run import Run, TrainOptions
from acexp.runs.run_directory import Status
from acexp.runs.saved_policy import Which
from acexp.video import FilmOptions, film
from tests.helpers import metrics
from tests.runs.test_evaluation import Asked
from tests.runs.test_resume import RESUME, assert_equal_runs, final, same

Acexp = Callable[..., subprocess.CompletedProcess[str]]
Config = Callable[..., RunConfig]
Train = Callable[..., list[Outcome]]

CHEETAH = ("env=halfcheetah", "env.max_episode_steps=40", "algo.n_envs=4", "algo.n_steps=8", "total_steps=3200")
EVALUATED = (*CHEETAH, "log.every=640", "eval.every=640", "eval.episodes=3")
KEPT = (*EVALUATED, "eval.keep_best=true", "optim.learning_rate=0.01")


def evaluations(directory: Path) -> dict[int, float]:
    return {line["step"]: line["eval/return_mean"] for line in metrics(directory) if "eval/return_mean" in line}


def notes(directory: Path) -> dict[str, str]:
    with safe_open(directory / "best.safetensors", framework="pt") as file:
        return dict(file.metadata())


def test_it_is_the_policy_of_the_highest_evaluation(config: Config, train: Train, tmp_path: Path) -> None:
    for m, outcome in enumerate(train(*(config(*KEPT, f"seed={seed}") for seed in range(3)))):
        means = evaluations(outcome.directory)
        assert len(means) == 5
        best = max(means, key=lambda step: means[step])
        assert int(notes(outcome.directory)["step"]) == best
        assert float(notes(outcome.directory)["score"]) == means[best]
        run = Run(config(*KEPT, f"seed={m}"), tmp_path / f"until{m}")
        runner.train([run], TrainOptions(until=best))
        kept, wanted = (
            load_file(path) for path in (outcome.directory / "best.safetensors", run.directory / "policy.safetensors")
        )
        assert same(kept, wanted)
        assert load(outcome.directory, which="best").step == best


def test_training_is_the_same_to_the_last_bit_whether_it_is_kept(config: Config, train: Train) -> None:
    (without,) = train(config(*EVALUATED), name="without")
    (kept,) = train(config(*EVALUATED, "eval.keep_best=true"), name="kept")
    assert metrics(kept.directory) == metrics(without.directory)
    assert same(final(kept.directory), final(without.directory))
    assert not (without.directory / "best.safetensors").exists()


@pytest.mark.parametrize("n", [10, 60, 90, 200])
def test_it_is_the_same_after_a_stop(config: Config, train: Train, tmp_path: Path, n: int) -> None:
    settings = [config(*KEPT, f"seed={seed}") for seed in range(2)]
    whole = train(*settings, name="whole")
    runs = [Run(each, tmp_path / f"broken{i}") for i, each in enumerate(settings)]
    assert runner.train(runs, should_stop=Asked(n))[0].status is Status.INTERRUPTED
    for mine, wanted in zip(runner.train(runs, RESUME), whole, strict=True):
        assert_equal_runs(mine.directory, wanted.directory)
        assert notes(mine.directory) == notes(wanted.directory)
        assert same(*(load_file(each.directory / "best.safetensors") for each in (mine, wanted)))


@pytest.mark.parametrize("moment", ["write_best", "note"])
def test_it_is_the_same_after_a_kill_in_an_evaluation(
    config: Config, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Before the best policy is written, and between that and the line in the log."""
    (whole,) = train(config(*KEPT), name="whole")
    run = Run(config(*KEPT), tmp_path / "broken")

    class KilledError(BaseException):
        pass

    def killed(*arguments: Any) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        where = "acexp.runs.evaluation.write_best" if moment == "write_best" else "acexp.metrics.Recorder.note"
        patched.setattr(where, killed)
        with pytest.raises(KilledError):
            runner.train([run])
    (mine,) = runner.train([run], RESUME)
    assert_equal_runs(mine.directory, whole.directory)
    assert notes(mine.directory) == notes(whole.directory)


def test_it_plays_again_on_seeds_that_did_not_choose_it(config: Config, train: Train) -> None:
    """A loop in Gymnasium with the loaded agent is the reference.

    It is Pendulum, because HalfCheetah makes another return of an action that is rounded otherwise: the agent acts for
    one environment, and the evaluation for three at once.
    """
    pendulum = ("env=gym", "env.id=Pendulum-v1", "env.max_episode_steps=40", "engine=gymnasium")
    (outcome,) = train(config(*pendulum, *(setting for setting in KEPT if not setting.startswith("env"))))
    found = evaluation.evaluate(outcome.directory, 3, deterministic=True, which=Which.BEST)
    agent = load(outcome.directory, which="best")
    seeds = environment_seeds(evaluation_stream(0, again=True), 3)
    assert not set(seeds) & set(environment_seeds(evaluation_stream(0), 3))
    for expected, seed in zip(found.returns, seeds, strict=True):
        env = gym.make("Pendulum-v1", max_episode_steps=40)
        observation, _ = env.reset(seed=seed)
        total = 0.0
        for _ in range(40):
            observation, reward, *_ = env.step(agent.act(observation))
            total += float(reward)
        env.close()
        assert expected == pytest.approx(total, rel=1e-6)
    assert found.step == agent.step


@pytest.mark.parametrize("what", ["the file of an evaluation", "a film", "a model card"])
def test_commands_take_it(acexp: Acexp, config: Config, train: Train, tmp_path: Path, what: str) -> None:
    settings = ("env=gym", "env.id=CartPole-v1", "engine=gymnasium", "total_steps=3200")
    (outcome,) = train(config(*settings, "eval.every=800", "eval.episodes=2", "eval.keep_best=true"))
    best = int(notes(outcome.directory)["step"])
    assert acexp("eval", str(outcome.directory), "--episodes", "4", "--which", "best").returncode == 0
    found = json.loads((outcome.directory / "eval.best.json").read_text())
    assert found["step"] == best
    assert found["chosen_by"] == {"return_mean": max(evaluations(outcome.directory).values()), "episodes": 2}
    assert not (outcome.directory / "eval.json").exists()
    if what == "a film":
        shown = film(outcome.directory, FilmOptions(formats=["gif"], which=Which.BEST))
        assert shown.episode_return == found["returns"][0]
    if what == "a model card":
        card = export(outcome.directory, which=Which.BEST).card.read_text()
        assert f"This is the policy of env step {best:,}, whose evaluation was the best during training." in card
        assert f"mean return {found['return']['mean']:,.2f}" in card


def test_a_run_that_has_kept_none_says_so(acexp: Acexp, config: Config, train: Train) -> None:
    (outcome,) = train(config("total_steps=320"))
    for command in ("eval", "video", "export"):
        result = acexp(command, str(outcome.directory), "--which", "best")
        assert result.returncode == 2
        assert "This run has kept no best policy." in result.stderr
        assert "eval.keep_best=true" in result.stderr
    with pytest.raises(UserError, match="no best policy"):
        load(outcome.directory, which="best")
    with pytest.raises(UserError, match="no such policy"):
        load(outcome.directory, which="bset")
    result = acexp("eval", str(outcome.directory), "--which", "first")
    assert "'first' is none of last, best" in result.stderr
    result = acexp("report", str(outcome.directory), "--metric", "best")
    assert result.returncode == 2
    assert "No run has kept its best policy." in result.stderr


def test_it_needs_evaluations(config: Config) -> None:
    with pytest.raises(UserError, match="there are none") as refusal:
        config("eval.keep_best=true")
    assert refusal.value.key == "eval.keep_best"


def test_a_report_plays_again_what_choosing_made_look_too_good(
    acexp: Acexp, config: Config, train: Train, tmp_path: Path
) -> None:
    """One episode of CartPole with sampled actions is mostly luck, and the luckiest of ten chooses the policy."""
    noisy = ("env=gym", "env.id=CartPole-v1", "env.max_episode_steps=60", "engine=gymnasium", "total_steps=1600")
    chosen_by_luck = ("log.every=160", "eval.every=160", "eval.episodes=1", "eval.deterministic=false")
    settings = (*noisy, *chosen_by_luck, "eval.keep_best=true", "algo.n_envs=4", "algo.n_steps=8")
    train(*(config(*settings, f"seed={seed}") for seed in range(4)), name="sweep/seed=")
    sweep = tmp_path / "sweep"
    first = acexp("report", str(sweep), "--metric", "best")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "4 best policies are being played again, on seeds that did not choose them" in first.stdout
    files = sorted(sweep.glob("*/eval.best.json"))
    assert len(files) == 4
    found = [json.loads(path.read_text()) for path in files]
    assert not any(each["deterministic"] for each in found), "the actions are taken as when it was chosen"
    chosen = sum(each["chosen_by"]["return_mean"] for each in found) / 4
    again = sum(each["return"]["mean"] for each in found) / 4
    assert chosen > again + 5
    for page in ("report.md", "report.html"):
        text = (sweep / page).read_text()
        assert "Choosing makes scores too high" in text
        assert f"When they were chosen, their mean was {chosen:.1f}; played again, it is {again:.1f}." in text
    rows = (sweep / "report" / "runs.csv").read_text()
    assert all(f"{each['return']['mean']}"[:6] in rows for each in found)
    before = {path: path.read_bytes() for path in files}
    (stale, *_) = files
    stale.write_text(json.dumps({**json.loads(stale.read_text()), "step": 1}))
    second = acexp("report", str(sweep), "--metric", "best")
    assert "1 best policy is being played again" in second.stdout, "the others have been"
    assert {path: path.read_bytes() for path in files} == before
