"""Searches with hydra/sweeper=optuna: they find what is better, lose nothing, and share their work."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from acexp.config.search import Choice, Interval, Space
from acexp.runs.outcome import Outcome
from acexp.runs.run_directory import Status
from acexp.sweeps.search import SearchLoop, TrialRun
from tests.helpers import Process, charts_of, start, wait_until

Acexp = Callable[..., subprocess.CompletedProcess[str]]

# One observation, two actions, one of which pays: how often it is taken at the end depends on the learning rate alone.
TOY = """
import gymnasium
import numpy as np


class TwoLevers(gymnasium.Env):
    observation_space = gymnasium.spaces.Discrete(1)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return 0, {}

    def step(self, action):
        return 0, float(action), True, False, {}


gymnasium.register("TwoLevers-v0", entry_point=TwoLevers)
"""
SEARCH = (
    "-m", "hydra/sweeper=optuna", "plugins=[toy]", "env=gym", "env.id=TwoLevers-v0", "total_steps=800", "name=s",
    "eval.every=400", "eval.episodes=20", "eval.deterministic=false", "seed=0,1,2",
    "optim.learning_rate=tag(log,interval(1e-6,1e-1))", "hydra.sweeper.batch=6", "hydra.sweeper.sampler_seed=0",
)  # fmt: skip
N_TRIALS = "hydra.sweeper.n_trials=24"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "toy.py").write_text(TOY)
    return tmp_path


def finish(process: Process, code: int = 0) -> str:
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == code, printed
    assert "Traceback" not in printed
    return printed


def run(acexp: Acexp, *arguments: str) -> str:
    """What a command prints that ends well."""
    result = acexp(*arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    return result.stdout + result.stderr


def told(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "outputs" / "sweeps" / "s" / "search.json").read_text())
    return content


@pytest.mark.long
def test_24_trials_find_the_better_half(folder: Path, acexp: Acexp) -> None:
    printed = run(acexp, *SEARCH, N_TRIALS)
    trials = told(folder)["trials"]
    assert [trial["state"] for trial in trials] == ["complete"] * 24
    rates = [trial["params"]["optim.learning_rate"] for trial in trials]
    middle = math.sqrt(1e-6 * 1e-1)
    # Drawn at random at first, in the better half of the interval once something has been learned.
    assert min(rates[:10]) < middle
    assert sum(rate > middle for rate in rates[12:]) >= 9
    best = trials[told(folder)["best"]]
    assert best["params"]["optim.learning_rate"] > middle
    assert best["value"] > 0.9
    assert f"best so far: trial {best['number']}" in printed
    assert f"best: trial {best['number']}, " in printed
    rate = best["params"]["optim.learning_rate"]
    assert re.search(
        rf"\n  acexp 'plugins=\[toy\]' env=gym env.id=TwoLevers-v0 .* optim.learning_rate={rate}\n", printed
    )
    # The value is the IQM of three seeds, here their mean, of each run's last evaluation.
    runs = [
        run
        for run in (folder / "outputs" / "sweeps" / "s").glob("*/config.yaml")
        if repr(best["params"]["optim.learning_rate"]) in run.parent.name
    ]
    assert len(runs) == 3
    last = [json.loads(line) for run in runs for line in (run.parent / "metrics.jsonl").read_text().splitlines()]
    finals = [line["eval/return_mean"] for line in last if line["step"] >= 800 and "eval/return_mean" in line]
    assert best["value"] == pytest.approx(sum(finals) / 3)
    assert acexp("report", "outputs/sweeps/s").returncode == 0
    report = (folder / "outputs" / "sweeps" / "s" / "report.md").read_text()
    assert f"| s | {best['number']} | complete | " in report.split("## Trials")[1]
    assert "| s | optim.learning_rate | 1" in report.split("## What mattered")[1]
    assert "best so far" in str(charts_of(folder / "outputs" / "sweeps" / "s" / "report.html"))


def test_a_search_is_looked_at_before_it_trains(folder: Path, acexp: Acexp) -> None:
    printed = run(acexp, *SEARCH, N_TRIALS, "hydra.launcher.dry_run=true")
    assert "24 trials of 3 runs each, 6 trials at a time, over optim.learning_rate" in printed
    assert "directory: outputs/sweeps/s" in printed
    assert [path.name for path in folder.iterdir() if path.name != "__pycache__"] == ["toy.py"]


@pytest.mark.long
@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_trials_that_fall_behind_are_pruned_at_an_evaluation(pruner: str, folder: Path, acexp: Acexp) -> None:
    run(acexp, *SEARCH, "hydra.sweeper.n_trials=12", "eval.every=200", f"hydra.sweeper.pruner={pruner}")
    trials = told(folder)["trials"]
    pruned = [trial for trial in trials if trial["state"] == "pruned"]
    complete = [trial for trial in trials if trial["state"] == "complete"]
    assert len(trials) == 12
    assert pruned
    assert complete
    assert set(trials[0]["rungs"]) <= {"200", "400", "600"}
    mean = sum(trial["value"] for trial in complete) / len(complete)
    assert mean > sum(max(trial["rungs"].values()) for trial in pruned) / len(pruned)
    found = [json.loads(path.read_text()) for path in (folder / "outputs" / "sweeps" / "s").glob("*/status.json")]
    assert sum(status["status"] == "pruned" for status in found) == 3 * len(pruned)
    assert sum(status["status"] == "done" for status in found) == 3 * len(complete)
    assert all(status["steps"] < 800 for status in found if status["status"] == "pruned")


@pytest.mark.long
def test_a_search_that_is_killed_goes_on_and_loses_no_trial(folder: Path, acexp: Acexp) -> None:
    process = start(folder, *SEARCH, N_TRIALS, group=True)
    sweep = folder / "outputs" / "sweeps" / "s"
    wait_until((sweep / "search.json").exists, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    with sqlite3.connect(sweep / "study.db") as database:
        states = [state for (state,) in database.execute("select state from trials")]
    assert "COMPLETE" in states
    assert len(states) < 24 or "RUNNING" in states
    refused = acexp("resume", str(sweep))
    assert refused.returncode == 2
    assert "give its command again: acexp -m hydra/sweeper=optuna" in refused.stderr
    run(acexp, *SEARCH, N_TRIALS)
    trials = told(folder)["trials"]
    assert [trial["state"] for trial in trials] == ["complete"] * 24
    assert len({trial["params"]["optim.learning_rate"] for trial in trials}) == 24
    assert "left as they are" not in run(acexp, *SEARCH, N_TRIALS)


def test_a_search_that_is_told_to_stop_goes_on(folder: Path, acexp: Acexp) -> None:
    process = start(folder, *SEARCH, "total_steps=8000", "hydra.sweeper.n_trials=6")
    sweep = folder / "outputs" / "sweeps" / "s"
    wait_until(lambda: any(path.stat().st_size for path in sweep.glob("*/metrics.jsonl")), process)
    process.send_signal(signal.SIGINT)
    assert "go on with:\n  acexp -m hydra/sweeper=optuna" in finish(process, 130)
    run(acexp, *SEARCH, "total_steps=8000", "hydra.sweeper.n_trials=6")
    assert [trial["state"] for trial in told(folder)["trials"]] == ["complete"] * 6


@pytest.mark.long
def test_two_workers_share_a_study(folder: Path) -> None:
    workers = [start(folder, *SEARCH, N_TRIALS, "hydra.sweeper.batch=3") for _ in range(2)]
    for worker in workers:
        finish(worker)
    trials = told(folder)["trials"]
    assert [trial["state"] for trial in trials] == ["complete"] * 24
    assert len({trial["params"]["optim.learning_rate"] for trial in trials}) == 24
    with sqlite3.connect(folder / "outputs" / "sweeps" / "s" / "study.db") as database:
        took = [value for (value,) in database.execute("select value_json from trial_user_attributes")]
    assert len(set(took)) == 2


def test_spaces_are_written_in_hydras_grammar(folder: Path) -> None:
    (folder / "experiment").mkdir()
    (folder / "experiment" / "space.yaml").write_text(
        "# @package _global_\nhydra:\n  sweeper:\n    params:\n"
        "      optim.learning_rate: tag(log, interval(1e-5, 1e-2))\n"
        "      algo.n_steps: range(4, 13, 4)\n"
        "      arch: separate,shared\n"
        "      algo.n_envs: interval(1, 3)\n"
    )
    finish(
        start(
            folder, "-m", "hydra/sweeper=optuna", f"hydra.searchpath=[file://{folder}]", "experiment=space", "name=s",
            "total_steps=60", "algo.n_envs=2", "hydra.sweeper.n_trials=4", "hydra.sweeper.sampler=random",
        )
    )  # fmt: skip
    for trial in told(folder)["trials"]:
        params = trial["params"]
        # What the command line sets is not searched.
        assert set(params) == {"optim.learning_rate", "algo.n_steps", "arch"}
        assert 1e-5 <= params["optim.learning_rate"] <= 1e-2
        assert params["algo.n_steps"] in (4, 8, 12)
        assert params["arch"] in ("separate", "shared")


def test_a_trials_runs() -> None:
    space = Space(
        ("env=pong",), ("seed=0", "seed=1"), {"clip.max_norm": Interval(0.5, 2.0), "arch": Choice(("a", "b"))}
    )
    assert space.corners == [{"clip.max_norm": 0.5, "arch": "a"}, {"clip.max_norm": 2.0, "arch": "b"}]
    assert space.runs({"clip.max_norm": 1.25, "arch": "b"}) == [
        ("env=pong", "clip.max_norm=1.25", "arch=b", "seed=0"),
        ("env=pong", "clip.max_norm=1.25", "arch=b", "seed=1"),
    ]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (("seed=0,1",), "nothing to search through"),
        (("algo.gamma=interval(1,0)",), "to a greater one"),
        (("algo.gamma=tag(log,interval(0,1))",), "from above 0"),
        (("algo.gamma=interval(0,2)",), "A discount lies in [0, 1]"),
        (("algo.gama=interval(0,1)",), "algo.gamma"),
        (("algo.gamma=interval(0,1)", "hydra.sweeper.sampler=tpee"), "tpe"),
        (("algo.gamma=interval(0,1)", "hydra.sweeper.batch=0"), "1 or more"),
        (("algo.gamma=interval(0,1)", "hydra.sweeper.pruner=median"), "eval.every=20000"),
        (("algo.gamma=interval(0,1)", "hydra.sweeper.storage=sqlite:////nowhere/at/all.db"), "cannot be used"),
        (("algo.gamma=interval(0,1)", "hydra/launcher=basic"), "hydra/launcher=population"),
        (("algo.value_coef=interval(0.1,1)", "optim=dual"), "nothing reads it with optim.name=dual"),
        (("clip.max_norm=1,2", "clip=none,value"), "nothing reads it with clip.name=none and clip.name=value"),
    ],
)
def test_what_cannot_be_searched_is_refused(said: tuple[str, ...], told: str, acexp: Acexp) -> None:
    result = acexp("-m", "hydra/sweeper=optuna", "name=s", *said)
    assert result.returncode == 2, result.stdout + result.stderr
    assert told in result.stderr
    assert "Traceback" not in result.stderr


def test_a_setting_that_some_trials_read_is_searched(acexp: Acexp) -> None:
    said = (
        "clip.max_norm=1,2",
        "clip=none,norm,value",
        "optim.alpha=interval(0.9,0.99)",
        "optim.algorithm=adam,rmsprop",
    )
    result = acexp("-m", "hydra/sweeper=optuna", "name=s", *said, "hydra.launcher.dry_run=true")
    assert result.returncode == 0, result.stdout + result.stderr


class FailingTrials:
    """Trials without an end, none of which counts because all of them fail."""

    def __init__(self) -> None:
        self.recorded: list[float | None] = []

    def take(self) -> list[SimpleNamespace]:
        assert len(self.recorded) < 6, "the search goes on although everything fails"
        return [SimpleNamespace(number=n, params={"optim.learning_rate": 0.1}) for n in range(2)]

    def record(self, trial: SimpleNamespace, value: float | None) -> None:
        self.recorded.append(value)

    def summary(self) -> dict[str, Any]:
        return {"best": None}


def test_a_search_ends_where_every_trial_fails(tmp_path: Path) -> None:
    trials, lines = FailingTrials(), list[str]()

    def train(parameters: Sequence[Mapping[str, object]], until: int | None) -> list[list[TrialRun]]:
        return [[TrialRun(Outcome(tmp_path, Status.FAILED), tmp_path)] for _ in parameters]

    assert not SearchLoop(trials, [], train, lines.append).run()  # type: ignore[arg-type]
    assert trials.recorded == [None, None]
    assert lines == ["trial 0 failed", "trial 1 failed", "every trial of the last batch failed, so the search ends"]
