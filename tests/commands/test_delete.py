"""`acexp delete`: runs are deleted by their status, after a question, and no others."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from acexp.core.errors import UserError
from acexp.sweeps.deletion import delete
from acexp.sweeps.sweep_directory import note_sweep
from acexp.system.lock import locked
from tests.helpers import in_terminal

Acexp = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """A sweep of five runs: two failed, one was killed, one is done, one has not begun."""
    folder = tmp_path / "outputs" / "sweeps" / "try"
    for seed, status in enumerate(("failed", "done", "running", "failed")):
        run = folder / f"seed={seed}"
        run.mkdir(parents=True)
        (run / "status.json").write_text(json.dumps({"status": status, "identity": str(seed)}))
        (run / "metrics.jsonl").write_text("")
    note_sweep(folder, [str(seed) for seed in range(5)], ["-m", "seed=range(5)", "name=try"])
    return folder


def seeds(sweep: Path) -> set[str]:
    return {path.name for path in sweep.iterdir() if path.is_dir()}


@pytest.mark.parametrize("directory", [".", "outputs", "outputs/sweeps/try"])
def test_only_the_runs_with_the_status_are_deleted(acexp: Acexp, sweep: Path, directory: str) -> None:
    result = acexp("delete", directory, "--only", "failed", "--yes")
    assert (result.returncode, result.stderr) == (0, "")
    assert seeds(sweep) == {"seed=1", "seed=2"}
    assert "outputs/sweeps/try/seed=0\noutputs/sweeps/try/seed=3\n" in result.stdout
    assert "deleted: 2" in result.stdout
    assert (sweep / "sweep.json").exists()
    assert ("acexp resume outputs/sweeps/try" in result.stdout) is (directory == "outputs/sweeps/try")


def test_several_statuses_and_a_single_run(acexp: Acexp, sweep: Path) -> None:
    assert acexp("delete", "outputs/sweeps/try", "--only", "failed", "--only", "killed", "--yes").returncode == 0
    assert seeds(sweep) == {"seed=1"}
    kept = acexp("delete", "outputs/sweeps/try/seed=1", "--only", "failed", "--yes")
    assert kept.returncode == 0
    assert "no run is failed, so there is nothing to delete" in kept.stdout
    assert acexp("delete", "outputs/sweeps/try/seed=1", "--only", "done", "--yes").returncode == 0
    assert seeds(sweep) == set()


def test_without_a_terminal_nothing_is_deleted_unasked(acexp: Acexp, sweep: Path) -> None:
    result = acexp("delete", "outputs/sweeps/try", "--only", "failed")
    assert result.returncode == 2
    assert "Delete these 2 runs for good?" in result.stderr
    assert "add --yes" in result.stderr
    assert len(seeds(sweep)) == 4


@pytest.mark.parametrize(("answer", "left"), [("y", 2), ("n", 4), ("", 4), ("what", 4)])
def test_on_a_terminal_it_asks(tmp_path: Path, sweep: Path, answer: str, left: int) -> None:
    shown = in_terminal(tmp_path, "delete", "outputs", "--only", "failed", answer=answer)
    assert "Delete these 2 runs for good? [y/N]" in shown
    assert ("Nothing was deleted" in shown) is (left == 4)
    assert len(seeds(sweep)) == left


def test_a_run_that_is_being_trained_is_kept(acexp: Acexp, sweep: Path) -> None:
    """The status says `failed` for a moment, until the process that trains the run again writes it."""
    for run in ("seed=0", "seed=3"):
        with locked(sweep / run):
            result = acexp("delete", "outputs/sweeps/try", "--only", "failed", "--yes")
        assert result.returncode == 2
        assert "Another process writes this run" in result.stderr
        assert {"seed=0", "seed=3"} <= seeds(sweep), "one of them is refused, so nothing is deleted"


def test_trials_of_a_search_are_kept(acexp: Acexp, sweep: Path) -> None:
    (sweep / ".search").mkdir()
    for arguments in (("outputs",), ("outputs/sweeps/try",), ("outputs/sweeps/try/seed=0",)):
        result = acexp("delete", *arguments, "--only", "failed", "--yes")
        assert result.returncode == 2
        assert "trial of a search" in result.stderr
    assert {"seed=0", "seed=3"} <= seeds(sweep)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(acexp: Acexp, sweep: Path) -> None:
    (sweep / "seed=0").chmod(0o500)
    result = acexp("delete", "outputs/sweeps/try", "--only", "failed", "--yes")
    (sweep / "seed=0").chmod(0o700)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_what_the_system_does_not_allow_is_said(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the test above, for root too."""

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("shutil.rmtree", refuse)
    with pytest.raises(UserError, match="Permission denied"):
        delete([sweep / "seed=0"])


@pytest.mark.parametrize("state", ["running", "nonsense"])
def test_an_unknown_status_is_answered_with_the_choices(acexp: Acexp, sweep: Path, state: str) -> None:
    result = acexp("delete", "outputs", "--only", state, "--yes")
    assert result.returncode == 2
    assert "failed" in result.stderr
    assert len(seeds(sweep)) == 4
