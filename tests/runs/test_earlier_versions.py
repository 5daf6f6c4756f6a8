"""Run directories that earlier versions wrote: tests/data/version-1 holds some of acexp 0.1.0.

It was made with `acexp env=cliffwalking arch.hidden_sizes=[8] a2c.n_envs=4 log.every=2000` and, in this order,
`total_steps=4000` and `acexp eval --episodes 5`; `arch=shared optim=dual seed=1 total_steps=24000`, stopped by SIGTERM;
`-m arch=separate,shared seed=0,1 total_steps=30000`, stopped by SIGTERM when half of it was done.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import acexp as package
from acexp.config import differences, from_yaml, identity, to_yaml
from acexp.config.application import compose
from acexp.config.keys import PLAIN, former_override, present_override
from acexp.config.run_identity import FORMER_CLASSES
from acexp.config.saved import VERSION, read_settings
from acexp.config.schema import LogConfig
from acexp.core.errors import UserError
from acexp.core.settings import setting
from acexp.objectives import OBJECTIVES, A2CConfig
from acexp.runs import runner
from acexp.runs.run import Run, TrainOptions
from acexp.runs.run_directory import Status, read_status
from acexp.sweeps.sweep_directory import read_sweep
from tests.helpers import REPOSITORY, metrics

Acexp = Callable[..., subprocess.CompletedProcess[str]]

VERSION_1 = REPOSITORY / "tests" / "data" / "version-1"
SWEEP = ("-m", "env=cliffwalking", "arch.hidden_sizes=[8]", "algo.n_envs=4", "log.every=2000", "arch=separate,shared")
# The choice `normalizer=auto` has another name in version 0.1.0.
SWEEP += (
    "normalizer.name=auto",
    "seed=0,1",
    "total_steps=30000",
    "hydra.launcher.processes=1",
    "name=sweep",
    "hydra.sweep.dir=sweep",
)


FORMERLY = "a2c"
"""The name of the group `algo` in version 0.1."""


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A copy of the directories, in the folder where commands are run."""
    shutil.copytree(VERSION_1, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_an_interrupted_run_is_resumed_exactly(acexp: Acexp, earlier: Path) -> None:
    lines = metrics(earlier / "interrupted")
    result = acexp("resume", "interrupted")
    assert result.returncode == 0, result.stdout + result.stderr
    status = read_status(earlier / "interrupted")
    assert (status["status"], status["resume"], status["steps"]) == ("done", "exact", 24000)
    assert metrics(earlier / "interrupted")[: len(lines)] == lines
    assert metrics(earlier / "interrupted")[-1]["step"] == 24000


def test_a_done_run_is_loaded_and_evaluated(acexp: Acexp, earlier: Path) -> None:
    before = json.loads((earlier / "done" / "eval.json").read_text())
    assert 0 <= package.load(earlier / "done").act(36) < 4
    result = acexp("eval", "done", "--episodes", "5")
    assert result.returncode == 0, result.stdout + result.stderr
    assert json.loads((earlier / "done" / "eval.json").read_text())["returns"] == before["returns"]
    assert "nothing to resume" in acexp("resume", "done").stdout


def test_a_sweep_is_reported_and_goes_on(acexp: Acexp, earlier: Path) -> None:
    assert acexp("report", "sweep", "--metric", "training").returncode == 0
    assert "2 done, 2 interrupted" in acexp("status", "sweep").stdout
    result = acexp("resume", "sweep")
    assert result.returncode == 0, result.stdout + result.stderr
    statuses = [read_status(path.parent) for path in sorted((earlier / "sweep").glob("*/status.json"))]
    assert [(status["status"], status.get("resume")) for status in statuses] == [
        ("done", None),
        ("done", None),
        ("done", "exact"),
        ("done", "exact"),
    ]


def test_the_same_command_finds_its_sweep(acexp: Acexp, earlier: Path) -> None:
    """By the runs' identities, which were written by version 0.1.0."""
    result = acexp(*SWEEP)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "left as they are: 2 done" in result.stdout
    assert len(list((earlier / "sweep").glob("*/status.json"))) == 4
    assert all(read_status(p.parent)["status"] == "done" for p in (earlier / "sweep").glob("*/status.json"))


def test_the_commands_of_earlier_sweeps_have_the_names_of_today() -> None:
    sweep = read_sweep(VERSION_1 / "sweep")
    assert sweep is not None
    assert "algo.n_envs=4" in sweep.commands[0].arguments
    assert former_override("algo.n_envs=4") == f"{FORMERLY}.n_envs=4"
    assert present_override("+algo.x=1") == "+algo.x=1"


HALFCHEETAH = ("optim.learning_rate=9.6e-4", "algo.value_coef=0.4", "clip.max_norm=0.5")
LUNARLANDER = (
    "optim=single",
    "optim.learning_rate=3e-3",
    "algo.gamma=0.999",
    "algo.gae_lambda=0.98",
    "algo.entropy_coef=0.003",
    "total_steps=3000000",
)
"""The settings of version 0.1.0 that are others now."""


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("env=cliffwalking", "normalizer.name=auto"), "1a3a2c78528abdb5"),
        (("env=halfcheetah", "arch=shared", *HALFCHEETAH), "152163f410ee7449"),
        (("env=pong", "optim=dual"), "ba504c04eea2fc2c"),
        (("experiment=lunarlander", *LUNARLANDER), "598f012e1a9b3a14"),
    ],
)
def test_identities_are_those_of_version_1(overrides: tuple[str, ...], expected: str) -> None:
    """The expected ones were printed by version 0.1.0; a setting whose default changes needs a `since` of its own."""
    assert identity(compose(list(overrides))) == expected


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterA2CConfig(A2CConfig):
    """A2CConfig as a later version may have it, with one more setting."""

    target_coef: float = setting(0.25, per_member=True, since=VERSION + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterLogConfig:
    """LogConfig as a later version may have it, with its setting renamed."""

    interval: int = setting(1000, formerly="every")
    info: list[str] = setting(factory=list, since=2)
    writers: list[str] = setting(factory=lambda: ["tensorboard"], since=2)

    @property
    def every(self) -> int:
        return self.interval


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later version: one setting added, one renamed, both classes renamed."""
    monkeypatch.setattr(OBJECTIVES, "_default_config", LaterA2CConfig)
    monkeypatch.setitem(OBJECTIVES._entries, "a2c", replace(OBJECTIVES["a2c"], config=LaterA2CConfig))
    monkeypatch.setitem(PLAIN, "log", LaterLogConfig)
    monkeypatch.setitem(FORMER_CLASSES, "LaterA2CConfig", "A2CConfig")
    monkeypatch.setitem(FORMER_CLASSES, "LaterLogConfig", "LogConfig")


@pytest.mark.usefixtures("later")
def test_a_later_version_reads_and_resumes_runs_of_this_one(earlier: Path) -> None:
    directory = earlier / "interrupted"
    config = from_yaml(directory / "config.yaml", allow_plugins=False)
    assert isinstance(config.algo, LaterA2CConfig)
    assert (config.algo.target_coef, config.log.every, config.algo.n_envs) == (0.25, 2000, 4)
    assert read_settings(directory / "config.yaml")["algo.target_coef"] == 0.25
    assert read_settings(directory / "config.yaml")["log.interval"] == 2000
    assert "log.every" not in read_settings(directory / "config.yaml")
    (outcome,) = runner.train([Run(config, directory)], TrainOptions(resume=True))
    assert (outcome.status, outcome.resume) == (Status.DONE, "exact")


@pytest.mark.usefixtures("later")
def test_an_added_setting_changes_a_runs_identity_only_where_it_is_not_the_default() -> None:
    config = compose(["env=cliffwalking", "normalizer.name=auto"])
    assert identity(config) == "1a3a2c78528abdb5"
    assert identity(compose(["env=cliffwalking", "+algo.target_coef=0.5"])) != identity(config)
    assert differences((VERSION_1 / "done" / "config.yaml").read_text(), to_yaml(config))[:1] != [
        "algo.target_coef: (not there) -> 0.25"
    ]


def test_a_config_carries_its_version(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    text = to_yaml(compose(["env=cliffwalking"]))
    assert text.splitlines()[0] == f"version: {VERSION}"
    path.write_text(text.replace(f"version: {VERSION}", f"version: {VERSION + 1}"))
    with pytest.raises(UserError, match=f"of version {VERSION + 1}, and this acexp reads versions up to {VERSION}"):
        from_yaml(path, allow_plugins=False)


def test_a_log_config_is_what_it_was() -> None:
    """LaterLogConfig stands in for it above."""
    assert LogConfig().every == LaterLogConfig().every
