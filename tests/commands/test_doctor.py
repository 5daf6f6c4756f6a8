"""The report of `acexp doctor` is correct."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from acexp.commands.doctor import doctor
from acexp.metrics import require_writers

Capsys = pytest.CaptureFixture[str]
Acexp = Callable[..., subprocess.CompletedProcess[str]]


def test_it_names_what_is_there(acexp: Acexp, tmp_path: Path) -> None:
    result = acexp("doctor")
    assert result.returncode == 0, result.stdout + result.stderr
    for expected in ("mujoco", "ale-py", "envpool", "cores to use", "egl", "can be written"):
        assert expected in result.stdout
    assert "missing" not in result.stdout, "the tests' environment has everything"
    assert not list((tmp_path / "outputs").iterdir())


def test_a_small_mlflow_suffices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capsys) -> None:
    """The distribution `mlflow` has no part that the writer needs; all of it is in `mlflow-skinny`."""

    def version(name: str) -> str:
        if name == "mlflow":
            raise PackageNotFoundError(name)
        return "3.1.4" if name == "mlflow-skinny" else "1.0"

    monkeypatch.setattr("acexp.system.packages.version", version)
    monkeypatch.chdir(tmp_path)
    assert doctor([]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "MLflow" in line)
    assert "3.1.4" in line
    require_writers(["mlflow"])


def test_a_folder_that_cannot_be_written_is_named(acexp: Acexp) -> None:
    result = acexp("doctor", cwd=Path("/proc"))
    assert result.returncode == 1
    assert "/proc/outputs" in result.stdout
    assert "cannot be written" in result.stdout
    assert "hydra.run.dir" in result.stdout
    assert "Traceback" not in result.stderr


def put_a_file_there(place: Path) -> None:
    place.touch()


def put_a_link_to_itself_there(place: Path) -> None:
    place.symlink_to(place)


def put_a_link_to_nothing_there(place: Path) -> None:
    place.symlink_to("nowhere")


@pytest.mark.parametrize("put", [put_a_file_there, put_a_link_to_itself_there, put_a_link_to_nothing_there])
def test_what_is_no_folder_is_named(acexp: Acexp, tmp_path: Path, put: Callable[[Path], None]) -> None:
    put(tmp_path / "outputs")
    result = acexp("doctor")
    assert (result.returncode, result.stderr) == (1, "")
    assert "cannot be written: it is not a folder" in result.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system that is only read needs root")
@pytest.mark.parametrize("place", ["outputs", "outputs/halfcheetah"])
def test_a_folder_that_is_only_read_is_named(acexp: Acexp, tmp_path: Path, place: str) -> None:
    """Permissions do not keep root from writing, so the folder is a file system that is mounted to be read."""
    folder = tmp_path / place
    folder.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folder], check=False, capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"a file system cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        result = acexp("doctor")
        assert result.returncode == 1
        assert str(folder) in result.stdout
        assert "cannot be written: Read-only file system" in result.stdout
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not keep root from writing")
def test_a_folder_without_permission_is_named(acexp: Acexp, tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir(mode=0o555)
    result = acexp("doctor")
    assert result.returncode == 1
    assert "cannot be written: Permission denied" in result.stdout
