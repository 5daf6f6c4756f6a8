"""The directory of a sweep holds one sweep: it may grow, and another one needs another name."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from acexp.core.errors import UserError
from acexp.sweeps.sweep_directory import note_sweep, read_sweep, refuse_another_sweep
from tests.helpers import contents

Acexp = Callable[..., subprocess.CompletedProcess[str]]


def test_a_name_that_another_sweep_has_is_refused(acexp: Acexp, tmp_path: Path) -> None:
    assert acexp("-m", "seed=0,1", "total_steps=64", "name=first").returncode == 0
    before = contents(tmp_path / "outputs")
    for dry_run in ((), ("hydra.launcher.dry_run=true",)):
        refused = acexp("-m", "seed=0,1", "total_steps=128", "name=first", *dry_run)
        assert refused.returncode == 2, refused.stdout + refused.stderr
        assert "already holds another sweep: 2 of its runs are not in this" in refused.stderr
        assert "command line: name=first" in refused.stderr
        assert "give another name" in refused.stderr
        assert contents(tmp_path / "outputs") == before


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
    note_sweep(tmp_path, ["a", "b", "c", "d"], ["seed=range(4)", "name=x"])
    with pytest.raises(UserError, match="another sweep: 3 of its runs"):
        refuse_another_sweep(tmp_path, ["d", "e"], ["seed=3,4", "name=x"], "name")
    for mine in (["a", "b", "c", "d"], ["b"], ["a", "b", "c", "d", "e"]):
        refuse_another_sweep(tmp_path, mine, ["other"], "name")
    refuse_another_sweep(tmp_path, ["e"], ["seed=range(4)", "name=x"], "name")  # the next batch of the same command
    note_sweep(tmp_path, ["b"], ["seed=1", "name=x"])
    found = read_sweep(tmp_path)
    assert found is not None
    assert (found.identities, found.arguments) == (["a", "b", "c", "d"], ["seed=range(4)", "name=x"])


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
