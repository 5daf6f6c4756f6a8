"""`acexp status`: one run, the runs of a sweep, and the list of all runs and sweeps in a folder."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acexp.runs import run_directory
from acexp.sweeps.overview import entries_below
from acexp.sweeps.sweep_directory import note_sweep

Acexp = Callable[..., subprocess.CompletedProcess[str]]


def write_run(directory: Path, started: str, mean: float | None = None, **status: Any) -> None:
    """A run's files, as far as they are read here; `started` is a time of one day."""
    directory.mkdir(parents=True)
    content = {
        "status": "done",
        "identity": directory.name,
        "started": f"2026-01-02T{started}:00+00:00",
        "steps": 1000,
        "command": "acexp env=pong optim=dual hydra.run.dir=mine",
        **status,
    }
    (directory / "status.json").write_text(json.dumps(content))
    (directory / "summary.json").write_text(json.dumps({"mean_return_last_100": mean}))


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Three single runs and a sweep of four runs, of which one has not begun."""
    folder = tmp_path / "outputs"
    write_run(folder / "pong" / "first", "10:00", -20.0)
    write_run(folder / "pong" / "killed", "11:00", status="running")
    write_run(folder / "pong" / "last", "13:00", status="failed", error="no more memory", steps=64)
    sweep = folder / "sweeps" / "try"
    for seed, mean in enumerate((1.0, 2.0, 6.0)):
        write_run(sweep / f"seed={seed}", "12:00", mean, steps=1000 * (seed + 1))
    arguments = ["-m", "arch.hidden_sizes=[8,8],[16]", "seed=range(4)", "env.id='a,b'", "clip.max_norm=0.5", "name=try"]
    note_sweep(sweep, [f"seed={seed}" for seed in range(4)], [*arguments, "hydra.launcher.processes=1,2"])
    return folder


def entries(printed: str) -> dict[str, list[str]]:
    """The facts and the settings that `acexp status` prints of each directory."""
    lines = [line.strip() for line in printed.splitlines() if not line.startswith("acexp: loading")]
    places = [line.split("  ") for line in lines[2:-1:2]]
    facts = [re.split(r"\s{2,}", line) for line in lines[1:-1:2]]
    return {place[0]: [*fact, *place[1:]] for place, fact in zip(places, facts, strict=True)}


@pytest.mark.parametrize("arguments", [(), ("outputs",), (".",)])
def test_all_runs_and_sweeps_are_listed_the_newest_first(
    acexp: Acexp, outputs: Path, arguments: tuple[str, ...]
) -> None:
    result = acexp("status", *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    found = entries(result.stdout)
    assert list(found) == ["outputs/pong/last", "outputs/sweeps/try", "outputs/pong/killed", "outputs/pong/first"]
    assert found["outputs/pong/last"][1:] == ["1", "64", "failed", "env=pong", "optim=dual"]
    facts = ["4", "1,000 to 3,000", "3.0", "3 done, 1 not begun"]
    assert found["outputs/sweeps/try"][1:] == [*facts, "arch.hidden_sizes=[8,8],[16]", "seed=range(4)"]
    assert found["outputs/pong/killed"][3] == "killed"
    assert found["outputs/pong/first"][2:4] == ["1,000", "-20.0"]
    assert result.stdout.splitlines()[-1] == "7 runs: 1 failed, 4 done, 1 not begun, 1 killed"


def test_a_folder_of_runs_is_listed_too(acexp: Acexp, outputs: Path) -> None:
    found = entries(acexp("status", "outputs/pong").stdout)
    assert list(found) == ["outputs/pong/last", "outputs/pong/killed", "outputs/pong/first"]


def test_a_command_for_one_of_them_does_not_say_that_there_is_none(acexp: Acexp, outputs: Path) -> None:
    result = acexp("eval", "outputs")
    assert result.returncode == 2
    assert "This is no run directory, and no sweep's." in result.stderr
    assert "name one that `acexp status` lists" in result.stderr
    assert "status.json" not in result.stderr


def test_a_run_and_a_sweep_are_shown_run_by_run(acexp: Acexp, outputs: Path) -> None:
    sweep = acexp("status", "outputs/sweeps/try").stdout.splitlines()
    assert [line.split()[0] for line in sweep[1:4]] == ["seed=0", "seed=1", "seed=2"]
    assert sweep[4] == "3 done, 1 not begun"
    run = acexp("status", "outputs/pong/last").stdout
    assert "no more memory" in run
    assert "acexp resume outputs/pong/last" in run


@pytest.mark.parametrize("content", ["", "[]", "{}", "null"])
def test_a_damaged_run_hides_no_other(acexp: Acexp, outputs: Path, content: str) -> None:
    (outputs / "pong" / "first" / "status.json").write_text(content)
    (outputs / "sweeps" / "try" / "seed=0" / "status.json").write_text(content)
    (outputs / "sweeps" / "try" / "seed=1" / "summary.json").write_text(content)
    for directory in ("outputs", "outputs/sweeps/try", "outputs/pong/first"):
        result = acexp("status", directory)
        assert (result.returncode, result.stderr) == (0, "")
        assert "unreadable" in result.stdout


def test_where_nothing_has_been_trained_the_command_that_trains_is_named(acexp: Acexp, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments in ((), ("outputs",), ("empty",)):
        result = acexp("status", *arguments)
        assert (result.returncode, result.stderr) == (0, "")
        assert f"There are no runs in {arguments[0] if arguments else 'outputs'} yet" in result.stdout
        assert "acexp env=" in result.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"empty"}


def test_a_directory_that_does_not_exist_is_an_error(acexp: Acexp) -> None:
    result = acexp("status", "outputs/nowhere")
    assert result.returncode == 2
    assert "There is no directory of this name" in result.stderr


def test_real_runs_are_listed(acexp: Acexp, tmp_path: Path) -> None:
    assert acexp("total_steps=128").returncode == 0
    for launcher in ("population", "basic"):
        sweep = ("seed=0,1", "total_steps=128", f"name={launcher}", f"hydra/launcher={launcher}", "-m")
        assert acexp(*sweep).returncode == 0
    found = entries(acexp("status").stdout)
    assert list(found)[:2] == ["outputs/sweeps/basic", "outputs/sweeps/population"]
    assert list(found)[2].startswith("outputs/cliffwalking/")
    assert [facts[1:3] for facts in found.values()] == [["2", "128"], ["2", "128"], ["1", "128"]]


def test_runs_of_the_same_second_are_listed_newest_first(tmp_path: Path) -> None:
    names = ["a", "c", "b", "d"]
    for name in names:
        run_directory.begin(tmp_path / name, "", name, torch_threads=1)
    assert [entry.directory.name for entry in entries_below(tmp_path)] == names[::-1]


def test_hundreds_of_runs_are_listed(tmp_path: Path) -> None:
    for sweep in range(20):
        for seed in range(20):
            write_run(tmp_path / f"sweep{sweep}" / f"seed={seed}", "12:00", 1.0)
        note_sweep(tmp_path / f"sweep{sweep}", [f"seed={seed}" for seed in range(20)], ["-m", "seed=range(20)"])
    found = entries_below(tmp_path)
    assert len(found) == 20
    assert sum(len(entry.steps) for entry in found) == 400
