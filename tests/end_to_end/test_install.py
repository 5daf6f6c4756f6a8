"""The wheel, in a clean environment and another folder, with the lock as constraints."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.helpers import REPOSITORY


def run(*words: str | Path, cwd: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    result = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=900)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, REPOSITORY, cwd=folder)
    (path,) = folder.glob("acexp-*.whl")
    return path


def test_the_wheel_holds_the_config_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for path in (REPOSITORY / "conf").rglob("*.yaml"):
        assert f"acexp/conf/{path.relative_to(REPOSITORY / 'conf')}" in names
    assert {name.split("/")[0] for name in names} == {"acexp", f"acexp-{wheel.name.split('-')[1]}.dist-info"}


@pytest.mark.long
def test_the_installed_command_works_in_any_folder(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    lock = REPOSITORY / "requirements.lock"
    run(
        tmp_path / "venv/bin/python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-compile",
        "--constraint",
        lock,
        wheel,
        cwd=tmp_path,
    )
    folder = tmp_path / "somewhere"
    folder.mkdir()
    acexp = tmp_path / "venv/bin/acexp"
    for env in ("cliffwalking", "lunarlander", "halfcheetah", "pong"):
        small = ("total_steps=16", "a2c.n_envs=2", "a2c.n_steps=4", "arch.cnn.features=16")
        assert "done" in run(acexp, f"env={env}", *small, cwd=folder)
    assert "arch=shared" in run(acexp, "list", cwd=folder)
    assert {path.name for path in folder.iterdir()} == {"outputs"}

    (folder / "mine.py").write_text(
        "import gymnasium as gym\ngym.register('Mine-v0', 'gymnasium.envs.classic_control:CartPoleEnv')\n"
    )
    assert "done" in run(acexp, "env=gym", "env.id=Mine-v0", "plugins=[mine]", "total_steps=64", cwd=folder)
