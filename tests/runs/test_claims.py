"""Nothing of a user's is ever overwritten: a command is refused where a file lies that it would write."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from acexp.config import RunConfig
from acexp.core.errors import UserError
from acexp.runs import evaluation
from acexp.runs.claims import claim, foreign_files
from acexp.runs.outcome import Outcome, record_failure
from acexp.runs.run import Run
from acexp.system.lock import LOCK
from tests.helpers import contents

Acexp = Callable[..., subprocess.CompletedProcess[str]]
Config = Callable[..., RunConfig]
Train = Callable[..., list[Outcome]]


def test_every_file_of_a_run_is_refused_where_it_lies_alone(config: Config, train: Train, tmp_path: Path) -> None:
    """Whatever a run writes today or later has to be in the list, but its lock."""
    (outcome,) = train(config("total_steps=256", "checkpoint.every=64"))
    evaluation.write(outcome.directory, evaluation.evaluate(outcome.directory, 1, deterministic=True))
    files = [path for path in outcome.directory.iterdir() if path.name != LOCK]
    assert len(files) >= 9
    for path in files:
        alone = tmp_path / "alone" / path.name
        alone.mkdir(parents=True)
        shutil.copy(path, alone)
        with pytest.raises(UserError, match=rf"already holds a run|would overwrite: {re.escape(path.name)}"):
            claim(alone)


@pytest.mark.parametrize("name", ["config.yaml", "summary.json", ".hydra/config.yaml"])
def test_a_run_in_a_users_folder_is_refused(acexp: Acexp, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "mine"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text("mine: yes")
    before = contents(folder)
    refused = acexp("total_steps=64", "hydra.run.dir=.", cwd=folder)
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert f"files that acexp did not write and would overwrite: {name.split('/')[0]}" in refused.stderr
    assert "command line: hydra.run.dir=.\n" in refused.stderr
    assert contents(folder) == before


def test_files_of_other_names_are_left_in_peace(acexp: Acexp, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("mine")
    assert acexp("total_steps=64", "hydra.run.dir=.").returncode == 0
    assert (tmp_path / "notes.md").read_text() == "mine"
    again = acexp("total_steps=64", "hydra.run.dir=.")
    assert (again.returncode, "already holds a run" in again.stderr) == (2, True)


def test_a_run_that_was_killed_before_it_wrote_anything_can_begin(acexp: Acexp, tmp_path: Path) -> None:
    """Hydra had written its own files, and they say whose they are."""
    assert acexp("total_steps=64", "hydra.run.dir=run").returncode == 0
    for path in (tmp_path / "run").iterdir():
        if path.is_file():
            path.unlink()
    assert acexp("total_steps=64", "hydra.run.dir=run").returncode == 0


def test_a_run_that_was_killed_before_it_wrote_its_config_begins_anew(acexp: Acexp, tmp_path: Path) -> None:
    command = ("-m", "seed=0", "total_steps=64", "name=killed")
    assert acexp(*command).returncode == 0
    run = tmp_path / "outputs" / "sweeps" / "killed" / "seed=0"
    for path in run.iterdir():
        if path.is_file() and path.name != "status.json":
            path.unlink()
    status = run / "status.json"
    status.write_text(status.read_text().replace('"done"', '"running"'))
    again = acexp(*command)
    assert again.returncode == 0, again.stdout + again.stderr
    assert (run / "config.yaml").exists()
    assert '"done"' in status.read_text()


@pytest.mark.parametrize("name", ["multirun.yaml", "sweep.json", "search.json"])
def test_a_sweep_in_a_users_folder_is_refused(acexp: Acexp, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / name).write_text("mine")
    refused = acexp("-m", "seed=0,1", "total_steps=64", "hydra.sweep.dir=.", cwd=folder)
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert f"would overwrite: {name}" in refused.stderr
    assert contents(folder) == {name: b"mine"}


@pytest.mark.parametrize("launcher", ["population", "basic"])
def test_a_users_file_in_the_place_of_a_run_fails_that_run_alone(acexp: Acexp, tmp_path: Path, launcher: str) -> None:
    taken = tmp_path / "outputs" / "sweeps" / "part" / "seed=1"
    taken.mkdir(parents=True)
    (taken / "config.yaml").write_text("mine")
    result = acexp("-m", "seed=0,1", "total_steps=64", "name=part", f"hydra/launcher={launcher}")
    assert result.returncode == 1, result.stdout + result.stderr
    assert "would overwrite: config.yaml" in result.stdout
    assert (taken / "config.yaml").read_text() == "mine"
    assert not (taken / "status.json").exists()
    assert '"done"' in (taken.with_name("seed=0") / "status.json").read_text()


def test_a_failure_is_not_written_into_a_users_folder(config: Config, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("mine")
    assert foreign_files(tmp_path) == ["config.yaml"]
    assert record_failure(Run(config(), tmp_path), "why").error == "why"
    assert contents(tmp_path) == {"config.yaml": b"mine"}


@pytest.mark.parametrize("name", ["report.md", "report.html", "report/runs.csv"])
def test_a_report_is_not_written_over_a_users_files(acexp: Acexp, tmp_path: Path, name: str) -> None:
    assert acexp("total_steps=256", "hydra.run.dir=run").returncode == 0
    folder = tmp_path / "mine"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text("mine")
    refused = acexp("report", "../run", "--out", ".", cwd=folder)
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert f"acexp did not write {Path(name).name}" in refused.stderr
    assert contents(folder) == {name: b"mine"}
    (folder / name).unlink()
    for _ in range(2):  # its own files are replaced
        assert acexp("report", "../run", "--out", ".", cwd=folder).returncode == 0


@pytest.mark.parametrize(("command", "name"), [("export", "MODEL_CARD.md"), ("video --format gif", "video.gif")])
def test_a_policy_and_a_video_are_not_written_over_a_users_files(
    acexp: Acexp, tmp_path: Path, command: str, name: str
) -> None:
    assert acexp("env=gym", "env.id=CartPole-v1", "total_steps=256", "hydra.run.dir=run").returncode == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_text("mine")
    refused = acexp(*command.split(), "run", "--out", "mine")
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert f"acexp did not write {name}" in refused.stderr
    assert contents(tmp_path / "mine") == {name: b"mine"}
    for _ in range(2):
        result = acexp(*command.split(), "run", "--out", "new")
        assert result.returncode == 0, result.stdout + result.stderr
