"""What docs/extending.md shows is run as it stands there."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import REPOSITORY, metrics

Acexp = Callable[..., subprocess.CompletedProcess[str]]

PAGE = (REPOSITORY / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = re.findall(r"^```\w+ (\S+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line
    for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder with every file of the page."""
    for name, text in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_the_page_has_what_it_promises() -> None:
    assert [name for name, _ in FILES] == [
        "my_lab.py",
        "my_wrapper.py",
        "my_networks.py",
        "my_conf/arch/wide.yaml",
        "my_sides.py",
        "my_policy.py",
        "my_normalizer.py",
        "my_optimizer.py",
        "my_writer.py",
        "my_algorithm.py",
    ]
    assert len(COMMANDS) == 15
    lengths = {name: len(text.splitlines()) for name, text in FILES}
    for name in ("my_wrapper.py", "my_sides.py", "my_policy.py", "my_writer.py", "my_algorithm.py"):
        assert lengths[name] <= 25


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_page_work(folder: Path, acexp: Acexp, command: str) -> None:
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "acexp"]
    result = acexp(*words[3:])
    assert result.returncode == 0, result.stdout + result.stderr
    if "inspect" in words:
        assert re.search(r"trunk\s+1,408\b", result.stdout), "8 * 128 + 128 + 2 * 128"
    elif "doctor" in words:
        assert "as their spaces say" in result.stdout
    elif "list" in words:
        assert "arch=wide" in result.stdout
        assert "layer normalization" in result.stdout
    else:
        assert "done" in result.stdout


def test_a_wrong_name_lists_the_users_own(folder: Path, acexp: Acexp) -> None:
    result = acexp("arch.name=wife", "plugins=[my_networks]", cwd=folder)
    assert result.returncode == 2
    assert "separate, shared, wide" in result.stderr
    assert re.search(r"did you mean:\s+wide", result.stderr)


def test_the_writer_of_the_page_has_what_was_logged(folder: Path, acexp: Acexp) -> None:
    (command,) = [shlex.split(command)[3:] for command in COMMANDS if "log.writers" in command]
    assert acexp(*command, "name=run", cwd=folder).returncode == 0
    (directory,) = folder.glob("outputs/*/run")
    lines = [line.split(",") for line in (directory / "metrics.csv").read_text().splitlines()]
    written = {(int(step), tag): float(value) for step, tag, value in lines}
    for line in metrics(directory):
        for tag, value in line.items():
            assert tag == "step" or written[int(line["step"]), tag] == value
    assert any(tag.startswith("final/") for _, tag in written)
