"""An environment that fails for one seed costs that run alone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from acexp.config import RunConfig
from acexp.core.seeding import environment_seeds, streams
from acexp.runs import runner
from acexp.runs.run import Run, TrainOptions
from tests.helpers import contents, metrics, parameters

Acexp = Callable[..., subprocess.CompletedProcess[str]]

ODD = """
import gymnasium as gym
import numpy as np


failed = []


class Odd(gym.Env):
    observation_space = gym.spaces.Box(-1.0, 1.0, (3,), np.float32)
    action_space = gym.spaces.Discrete(2)
    is_odd, t, n_steps = False, 0, 0

    def __init__(self, where, seed):
        self.where, self.seed = where, seed
        assert not failed

    def observe(self):
        return self.np_random.random(3, dtype=np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.is_odd = seed == self.seed
        if self.is_odd and self.where == "reset":
            raise ValueError("I do not like this seed")
        self.t = 0
        return self.observe(), {}

    def step(self, action):
        self.t, self.n_steps = self.t + 1, self.n_steps + 1
        if self.is_odd and self.where in ("step", "once") and self.n_steps == 150:
            if self.where == "once":
                failed.append(self)
            raise ValueError("I do not like this seed")
        return self.observe(), float(action), self.t == 20, False, {}


gym.register("Odd-v0", Odd)
"""

SETTINGS = (
    "plugins=[odd]", "env=gym", "env.id=Odd-v0", "algo.n_envs=2", "algo.n_steps=5", "total_steps=600", "log.every=100",
    "checkpoint.every=100", "eval.every=200", "eval.episodes=2",
)  # fmt: skip


@pytest.mark.parametrize("where", ["reset", "step", "evaluation"])
def test_the_other_runs_of_a_population_train_without_it(acexp: Acexp, tmp_path: Path, where: str) -> None:
    (tmp_path / "odd.py").write_text(ODD)
    random = streams(15)
    seed = environment_seeds(random.evaluation if where == "evaluation" else random.environments, 2)[1]
    odd = (f"+env.kwargs.where={where.replace('evaluation', 'reset')}", f"+env.kwargs.seed={seed}")
    result = acexp("-m", *SETTINGS, *odd, "seed=range(12,16)", "hydra.launcher.processes=1", "name=odd")
    assert result.returncode == 1, result.stdout + result.stderr
    assert "1 of 4 runs did not finish" in result.stdout
    folder = tmp_path / "outputs" / "sweeps" / "odd"
    found = {path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/status.json")}
    assert {name: status["status"] for name, status in found.items()} == {
        **{f"seed={seed}": "done" for seed in range(12, 15)},
        "seed=15": "failed",
    }
    failed = {
        "reset": "env step 2: reset()",
        "step": "env step 314: step()",  # the 157th of the second environment: 150, and 7 resets
        "evaluation": "evaluation at env step 200: reset()",
    }[where]
    assert found["seed=15"]["error"].startswith(
        f"Odd-v0, seed 15, {failed} failed: ValueError: I do not like this seed\n  place: odd.py, line"
    )
    assert [path.parent.name for path in folder.glob("*/error.log")] == ["seed=15"]
    assert "I do not like this seed" in (folder / "seed=15" / "error.log").read_text()
    assert "Traceback" not in result.stdout + result.stderr
    alone = acexp(*SETTINGS, *odd, "seed=13", "hydra.run.dir=alone")
    assert alone.returncode == 0, alone.stdout + alone.stderr
    assert metrics(folder / "seed=13") == metrics(tmp_path / "alone")
    expected = parameters(tmp_path / "alone")
    assert all(bool((tensor == expected[name]).all()) for name, tensor in parameters(folder / "seed=13").items())


def test_others_that_cannot_go_on_fail_with_their_own_reason(acexp: Acexp, tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(ODD)
    seed = environment_seeds(streams(15).environments, 2)[1]
    odd = ("+env.kwargs.where=once", f"+env.kwargs.seed={seed}", "eval.every=null")
    result = acexp("-m", *SETTINGS, *odd, "seed=14,15,16", "hydra.launcher.processes=1", "name=odd")
    assert result.returncode == 1, result.stdout + result.stderr
    folder = tmp_path / "outputs" / "sweeps" / "odd"
    errors = {path.parent.name: json.loads(path.read_text())["error"] for path in folder.glob("*/status.json")}
    assert "step() failed: ValueError" in errors.pop("seed=15")
    assert sorted(errors) == ["seed=14", "seed=16"]
    assert all("Odd-v0 cannot be made: AssertionError" in error for error in errors.values())


@pytest.mark.parametrize("file", ["metrics.jsonl", "checkpoint.pt"])
def test_a_run_that_cannot_go_on_is_left_as_it_is_and_costs_no_other(
    acexp: Acexp, config: Callable[..., RunConfig], tmp_path: Path, file: str
) -> None:
    given = [config("total_steps=640", "checkpoint.every=64", "log.every=64", f"seed={seed}") for seed in range(3)]
    runs = [Run(each, tmp_path / "sweep" / f"seed={each.seed}") for each in given]
    assert [outcome.status for outcome in runner.train(runs, TrainOptions(until=320))] == ["paused"] * 3
    damaged = runs[1].directory
    for path in damaged.glob(f"{file.partition('.')[0]}*.{file.partition('.')[2]}"):
        path.write_bytes(b"not this\n" + path.read_bytes())
    before = contents(damaged)
    resumed = acexp("resume", "sweep")
    assert resumed.returncode == 1, resumed.stdout + resumed.stderr
    assert "Traceback" not in resumed.stdout + resumed.stderr
    assert f"{file}" in resumed.stdout
    assert contents(damaged) == before
    for run in (runs[0], runs[2]):
        assert json.loads((run.directory / "status.json").read_text())["status"] == "done"
        alone = runner.train([replace(run, directory=tmp_path / "alone" / run.directory.name)])[0].directory
        assert metrics(run.directory) == metrics(alone)


def test_a_run_on_its_own_fails_with_the_same_words(acexp: Acexp, tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(ODD)
    seed = environment_seeds(streams(0).environments, 2)[1]
    failed = acexp(*SETTINGS, "+env.kwargs.where=step", f"+env.kwargs.seed={seed}", "hydra.run.dir=run")
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "Odd-v0, seed 0, env step 314: step() failed: ValueError: I do not" in failed.stdout
    assert "traceback:     run/error.log" in failed.stdout
    assert "Traceback" not in failed.stdout + failed.stderr


def test_a_run_whose_environment_cannot_begin_is_refused(acexp: Acexp, tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(ODD)
    seed = environment_seeds(streams(0).environments, 1)[0]
    refused = acexp(*SETTINGS, "+env.kwargs.where=reset", f"+env.kwargs.seed={seed}", "hydra.run.dir=run")
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert "I do not like this seed" in refused.stderr
    assert "odd.py, line 2" in refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr
    assert not (tmp_path / "run").exists()
