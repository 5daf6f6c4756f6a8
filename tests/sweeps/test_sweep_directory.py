"""The directory of a sweep forgets no run: the sweep may grow, and others may join it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from acexp.sweeps.sweep_directory import n_others, note_sweep, read_sweep
from tests.helpers import contents

Acexp = Callable[..., subprocess.CompletedProcess[str]]


def test_another_sweep_of_the_same_name_leaves_the_first_as_it_is(acexp: Acexp, tmp_path: Path) -> None:
    """Both are kept: their runs, and the commands that train those that have not begun."""
    folder = tmp_path / "outputs" / "sweeps" / "both"
    assert acexp("-m", "seed=range(4)", "total_steps=64", "name=both").returncode == 0
    first = contents(folder)
    shutil.rmtree(folder / "seed=3")  # as if it had not begun
    another = acexp("-m", "seed=0,1", "total_steps=128", "name=both")
    assert another.returncode == 0, another.stdout + another.stderr
    assert "both holds 4 runs of another sweep too, which are kept; name=... names a new one" in another.stdout
    finished = {
        path: content for path, content in first.items() if path.endswith("status.json") and "seed=3" not in path
    }
    assert {path: contents(folder)[path] for path in finished} == finished
    told = json.loads((folder / "sweep.json").read_text())
    assert (len(told["runs"]), len(told["commands"])) == (6, 2)
    again = acexp("resume", str(folder))
    assert again.returncode == 0, again.stdout + again.stderr
    statuses = [json.loads(path.read_text())["status"] for path in folder.glob("*/status.json")]
    assert statuses == ["done"] * 6
    report = acexp("report", str(folder), "--out", str(tmp_path / "report"))
    assert report.returncode == 0, report.stderr


def test_a_sweep_grows_and_forgets_no_run(acexp: Acexp, tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "sweeps" / "grows"
    for seeds in (2, 4):
        result = acexp("-m", f"seed=range({seeds})", "total_steps=64", "name=grows")
        assert result.returncode == 0, result.stdout + result.stderr
    assert "left as they are: 2 done" in result.stdout
    grown = (folder / "sweep.json").read_bytes()
    assert len(json.loads(grown)["runs"]) == 4
    some = acexp("-m", "seed=range(3)", "total_steps=64", "name=grows")
    assert (some.returncode, "left as they are: 3 done" in some.stdout) == (0, True)
    assert (folder / "sweep.json").read_bytes() == grown, "and the command that trains all of them"


def test_runs_that_have_not_begun_stay_known(tmp_path: Path) -> None:
    def noted(identities: list[str], *arguments: str) -> tuple[list[str], list[list[str]]]:
        note_sweep(tmp_path, identities, arguments)
        found = read_sweep(tmp_path)
        assert found is not None
        return found.identities, [command.arguments for command in found.commands]

    assert noted(["a", "b"], "seed=0,1") == (["a", "b"], [["seed=0,1"]])
    assert noted(["b"], "seed=1") == (["a", "b"], [["seed=0,1"]]), "some of its runs"
    assert noted(["a", "b", "c"], "seed=range(3)") == (["a", "b", "c"], [["seed=range(3)"]]), "it has grown"
    assert n_others(tmp_path, ["c", "d"]) == 2
    assert n_others(tmp_path, ["a"]) == n_others(tmp_path, ["a", "b", "c", "d"]) == 0
    both = (["a", "b", "c", "d"], [["seed=range(3)"], ["seed=2,3"]])
    assert noted(["c", "d"], "seed=2,3") == both, "another one"
    assert noted(["c", "d"], "seed=2,3") == both, "again"


def test_a_search_and_a_sweep_do_not_share_a_name(acexp: Acexp, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    search = (
        "-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=1", "hydra.sweeper.batch=1", "clip.max_norm=0.1,1",
        "total_steps=64",
    )  # fmt: skip
    sweep = ("-m", "seed=0,1", "total_steps=64")
    for name, first, second in (("search", search, sweep), ("sweep", sweep, search)):
        result = acexp(*first, f"name={name}")
        assert result.returncode == 0, result.stdout + result.stderr
        before = contents(tmp_path / "outputs")
        refused = acexp(*second, f"name={name}")
        assert refused.returncode == 2, refused.stdout + refused.stderr
        assert "This directory already holds a s" in refused.stderr
        assert contents(tmp_path / "outputs") == before


def test_a_sweep_in_the_directory_of_a_run_is_refused(acexp: Acexp, tmp_path: Path) -> None:
    assert acexp("total_steps=64", "hydra.run.dir=run").returncode == 0
    before = contents(tmp_path / "run")
    refused = acexp("-m", "seed=0,1", "total_steps=64", "hydra.sweep.dir=run")
    assert (refused.returncode, "the directory of a single run" in refused.stderr) == (2, True)
    assert contents(tmp_path / "run") == before
