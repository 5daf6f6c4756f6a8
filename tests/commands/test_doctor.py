"""The report of `acexp doctor` is correct."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

Acexp = Callable[..., subprocess.CompletedProcess[str]]


def test_it_names_what_is_there(acexp: Acexp, tmp_path: Path) -> None:
    result = acexp("doctor")
    assert result.returncode == 0, result.stdout + result.stderr
    for expected in ("mujoco", "ale-py", "envpool", "cores to use", "egl", "can be written"):
        assert expected in result.stdout
    assert "missing" not in result.stdout, "the tests' environment has everything"
    assert not list((tmp_path / "outputs").iterdir())


def test_a_folder_that_cannot_be_written_is_named(acexp: Acexp) -> None:
    result = acexp("doctor", cwd=Path("/proc"))
    assert result.returncode == 1
    assert "/proc/outputs" in result.stdout
    assert "cannot be written" in result.stdout
    assert "hydra.run.dir" in result.stdout
    assert "Traceback" not in result.stderr
