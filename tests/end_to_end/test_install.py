"""The wheel, in a clean environment and another folder, with the lock as constraints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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


def requirements(name: str) -> set[str]:
    """The distributions that one asks for, with all that those ask for, as the installed metadata says it."""
    found, pending = set[str](), [Requirement(name)]
    while pending:
        wanted = pending.pop()
        key = canonicalize_name(wanted.name)
        extras = wanted.extras or {""}
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        if key in found and not wanted.extras:
            continue
        found.add(key)
        for text in distribution(key).requires or ():
            asked = Requirement(text)
            if asked.marker is None or any(asked.marker.evaluate({"extra": extra}) for extra in (*extras, "")):
                asked.marker = None
                pending.append(asked)
    return found - {canonicalize_name(name)}


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and only the packages that it asks for, linked from the one that runs the tests."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    run(sys.executable, "-m", "pip", "--python", folder, "install", "--quiet", "--no-deps", wheel, cwd=folder)
    (packages,) = folder.glob("lib/python3*/site-packages")
    for name in sorted(requirements("acexp")):
        files = distribution(name).files or ()
        home = Path(str(distribution(name).locate_file("")))
        for top in {file.parts[0] for file in files if file.parts[0] not in ("..", "__pycache__")}:
            if not (packages / top).exists():
                (packages / top).symlink_to(home / top)
    return folder


def test_the_installed_command_works_in_any_folder(installed: Path, tmp_path: Path) -> None:
    """An installation by pip, from the lock, is tried by `make soak`; it also made the environment of these tests."""
    packages = {path.name for path in installed.glob("lib/python3*/site-packages/*")}
    assert {"torch", "gymnasium", "hydra", "cv2", "acexp"} <= packages
    assert not {"pytest", "envpool", "pandas", "ray", "stable_baselines3"} & packages
    use_in_any_folder(installed, tmp_path)


@pytest.mark.soak
def test_a_clean_installation_works_in_any_folder(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    lock = REPOSITORY / "requirements.lock"
    run(tmp_path / "venv/bin/python", "-m", "pip", "install", "--quiet", "--constraint", lock, wheel, cwd=tmp_path)
    use_in_any_folder(tmp_path / "venv", tmp_path)


def use_in_any_folder(environment: Path, tmp_path: Path) -> None:
    folder = tmp_path / "somewhere"
    folder.mkdir()
    acexp = environment / "bin/acexp"
    small = ("total_steps=16", "algo.n_envs=2", "algo.n_steps=4", "arch.cnn.features=16")
    assert "done" in run(acexp, "env=cliffwalking", *small, cwd=folder)
    printed = run(acexp, "-m", "env=cliffwalking,lunarlander,halfcheetah,pong", *small, cwd=folder)
    assert printed.count("1 done: env=") == 4, printed
    assert "arch=shared" in run(acexp, "list", cwd=folder)
    assert {path.name for path in folder.iterdir()} == {"outputs"}

    (folder / "mine.py").write_text(
        "import gymnasium as gym\ngym.register('Mine-v0', 'gymnasium.envs.classic_control:CartPoleEnv')\n"
    )
    assert "done" in run(acexp, "env=gym", "env.id=Mine-v0", "plugins=[mine]", "total_steps=64", cwd=folder)


PIP_STAND_IN = """#!/bin/sh
for n in 1 2 3; do
    echo "Requirement already satisfied: package$n in ./lib (from acexp==0.1.0) (1.0)"
    echo "Collecting other$n<3,>=2.8 (from acexp==0.1.0)"
    echo "  Downloading other$n-2.8.0-cp313-cp313-manylinux_2_28_x86_64.whl (888.1 MB)"
done
echo "Installing collected packages: $(seq --separator=, 1000)"
echo "a mistake" >&2
exit $EXIT_CODE
"""


@pytest.mark.parametrize("code", [0, 3])
def test_make_shows_what_is_being_installed(tmp_path: Path, code: int) -> None:
    """A script stands in for the environment's Python, which would download for minutes; its failure is make's."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        (tmp_path / name).write_bytes((REPOSITORY / name).read_bytes())
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PIP_STAND_IN)
    python.chmod(0o755)
    # `make test` itself may run this test, and hands its own state to every make below it.
    outside = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    result = subprocess.run(
        ["make", "install"],
        cwd=tmp_path,
        env={**outside, "EXIT_CODE": str(code)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (result.returncode == 0) == (code == 0) == (tmp_path / ".venv" / "installed").exists()
    lines = result.stdout.splitlines()
    assert re.search(r"Installing acexp .* minutes", lines[0])
    assert [line.split()[:2] for line in lines[1:4]] == [
        ["Downloading", f"other{n}-2.8.0-cp313-cp313-manylinux_2_28_x86_64.whl"] for n in (1, 2, 3)
    ]
    assert lines[4].startswith("Installing collected packages")
    assert len(lines) <= 6, "pages of what is there already, or was found, are left out"
    assert max(map(len, lines)) <= 120
    assert "a mistake" in result.stderr
