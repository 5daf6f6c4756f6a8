"""Random environments: each trains, or ends in words of acexp's own that name the environment."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import re
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from acexp.algorithm.assembly import check, check_environments
from acexp.commands.training import Training
from acexp.config import RunConfig
from acexp.config.application import Job, compose
from acexp.core.errors import UserError
from acexp.runs import runner
from acexp.runs.claims import claim
from acexp.runs.inspection import examine
from acexp.runs.outcome import Outcome
from acexp.runs.run import Run, TrainOptions
from acexp.runs.run_directory import Status
from acexp.sweeps import worker
from tests.end_to_end.any_environment import FAULTY_PLANS, ID, PLANS, Plan
from tests.helpers import contents

SETTINGS = (
    "env=gym", f"env.id={ID}", "engine=gymnasium", "env.max_episode_steps=20", "seed=3", "total_steps=120",
    "algo.n_envs=2", "algo.n_steps=4", "arch.hidden_sizes=[4]", "arch.cnn.features=4", "arch.cnn.channels=[2,2]",
    "arch.cnn.kernel_sizes=[8,4]", "arch.cnn.strides=[4,4]", "checkpoint.every=40", "log.every=40", "eval.episodes=1",
    "torch_threads=1",
)  # fmt: skip
NAMED = re.compile(rf"{ID}(, seed \d+, (env step|evaluation at env step) [\d,]+)?(:| cannot be made:| needs )")
UNSUPPORTED = re.compile(r"(An observation.* from|Actions from) .* (is|are) not supported\.", re.DOTALL)


@functools.cache
def composed() -> RunConfig:
    return compose(SETTINGS)


outcomes: Counter[str] = Counter()


class _Parent:
    """The process that has started a worker, which asks for nothing."""

    def begin(self) -> None:
        pass

    def report(self, progress: worker.Progress) -> None:
        pass

    def stop_requested(self) -> bool:
        return False


# What the commands call once Hydra has composed a config: see commands/preflight.py, training.py and inspect.py.


def train(config: RunConfig, directory: Path) -> None:
    remarks = check(config)
    claim(directory)
    printed = io.StringIO()
    training = Training(Console(file=printed, soft_wrap=True), [])
    training.train_run(Job(config, directory, (), in_sweep=False, remarks=remarks))
    assert_in_words(printed.getvalue())
    assert_ended(training.outcomes[0])


def sweep(config: RunConfig, directory: Path) -> None:
    """Check the environments of three runs, and train them as one worker does."""
    configs = [replace(config, seed=seed) for seed in (3, 4, 5)]
    check_environments(configs)
    runs = tuple(Run(each, directory.with_name(f"{each.seed}")) for each in configs)
    ended = worker.train_population(worker.Job(runs, TrainOptions()), _Parent())
    if isinstance(ended, UserError):
        raise ended
    for outcome in ended:
        assert_ended(outcome)


def resume(config: RunConfig, directory: Path) -> None:
    """Leave a run halfway, and continue it; if that is refused, it is left as it was."""
    check(config)
    run = Run(config, directory)
    (first,) = runner.train([run], TrainOptions(until=56))
    assert_ended(first)
    if first.status is not Status.PAUSED:
        return
    before = contents(directory)
    second = runner.attempt([run], TrainOptions(resume=True))
    if isinstance(second, UserError):
        assert_named(second.problem)
        assert contents(directory) == before
        return
    assert_ended(second[0])
    outcomes[f"resumed: {second[0].resume}"] += 1


def inspect(config: RunConfig, directory: Path) -> None:
    examine(config)


COMMANDS = {"train": train, "sweep": sweep, "resume": resume, "inspect": inspect}


def assert_in_words(text: str) -> None:
    """Neither code nor a setting is blamed."""
    for foreign in ("Traceback", "learning_rate"):
        assert foreign not in text, text


def assert_named(text: str) -> None:
    assert_in_words(text)
    assert NAMED.match(text), text


def assert_refused(plan: Plan, error: UserError, left: list[Path]) -> None:
    """Only what is wrong is refused, with the environment's name and a remedy, and nothing is left behind."""
    outcomes["refused"] += 1
    assert plan.faults or not plan.is_supported, error
    if not UNSUPPORTED.match(error.problem):
        assert_named(error.problem)
    assert_in_words(str(error))
    assert error.remedy
    assert not left


def assert_ended(outcome: Outcome) -> None:
    """What is not refused has trained, or has failed with the environment's name; its files say so too."""
    outcomes[outcome.status] += 1
    status = json.loads((outcome.directory / "status.json").read_text())
    assert status["status"] == outcome.status
    assert outcome.status in (Status.DONE, Status.PAUSED, Status.FAILED), outcome.error
    if outcome.status is Status.FAILED:
        assert outcome.error == status["error"]
        assert_named(str(outcome.error))
        return
    for line in (outcome.directory / "metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)


@given(
    plan=st.one_of(PLANS, FAULTY_PLANS, FAULTY_PLANS),
    command=st.sampled_from(sorted(COMMANDS)),
    evaluated=st.sampled_from([None, None, 40]),
)
def check_one(plan: Plan, command: str, evaluated: int | None) -> None:
    plan.register()
    config = replace(composed(), eval=replace(composed().eval, every=evaluated))
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        try:
            COMMANDS[command](config, Path(folder) / "run")
        except UserError as error:
            refused = error
        else:
            assert plan.faults or plan.is_supported
            return
        assert_refused(plan, refused, list(Path(folder).iterdir()))


@pytest.mark.long
def test_an_environment_trains_or_is_named() -> None:
    check_one()
    for ending in (Status.DONE, Status.FAILED, "refused", "resumed: exact"):
        assert outcomes[ending] > 5, outcomes
