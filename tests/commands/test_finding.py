"""Finding a command: the list of commands, help, the version, a misspelt word, and what is shown while acexp loads."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from acexp.commands import COMMANDS, GROUPS, find
from acexp.commands.loading import INTERRUPTED, LOADING
from acexp.core.errors import UserError
from tests.helpers import REPOSITORY, in_terminal

Acexp = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def without_torch(tmp_path: Path) -> Path:
    """A folder in which nothing can import torch; whatever tries it waits for a minute."""
    (tmp_path / "torch.py").write_text("import time\ntime.sleep(60)\n")
    return tmp_path


def run_without_torch(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "acexp", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{REPOSITORY}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def listed(text: str) -> dict[str, str]:
    """The summary of each command in a list of commands."""
    return dict(re.findall(r"^  acexp (\w+).*?  (\S.*)$", text, re.MULTILINE))


def test_the_list_has_a_line_on_every_command(without_torch: Path) -> None:
    result = run_without_torch(without_torch, "help")
    assert (result.returncode, result.stderr) == (0, "")
    assert list(listed(result.stdout)) == list(COMMANDS)
    assert [title for title in GROUPS if title in result.stdout.splitlines()] == list(GROUPS)
    assert max(map(len, result.stdout.splitlines())) <= 120


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("env=pong", "--help"), ("help", "--help")])
def test_the_list_stands_before_hydras_help(acexp: Acexp, arguments: tuple[str, ...]) -> None:
    result = acexp(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    ours, _, hydras = result.stdout.partition("Training:")
    assert list(listed(ours)) == list(COMMANDS)
    assert "== Groups: choose with group=option ==" in hydras
    assert ("id: PongNoFrameskip-v4" in hydras) == ("env=pong" in arguments)


def test_the_list_is_printed_before_torch_is_imported(without_torch: Path) -> None:
    """A reader that closes the output after it, such as `head`, need not wait for Hydra's part."""
    process = subprocess.Popen(
        [sys.executable, "-m", "acexp", "--help"],
        cwd=without_torch,
        env={**os.environ, "PYTHONPATH": f"{without_torch}{os.pathsep}{REPOSITORY}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("acexp trains actor-critic agents")
        process.kill()


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if command.module != "train"])
def test_help_shows_the_arguments_of_a_command(acexp: Acexp, name: str) -> None:
    result = acexp("help", name)
    assert (result.returncode, result.stderr) == (0, "")
    assert f"usage: acexp {name}" in result.stdout or name == "help"


@pytest.mark.parametrize(
    "name", [name for name, command in COMMANDS.items() if command.module not in ("train", "show_help")]
)
def test_arguments_that_cannot_be_read_are_answered_with_the_help_of_the_command(acexp: Acexp, name: str) -> None:
    result = acexp(name, "--no-such-option=1")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"acexp: The arguments of acexp {name} cannot be read: ")
    assert f"`acexp help {name}` lists its arguments" in result.stderr
    assert "KEY=VALUE" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("--no-such-flag", "--no-such-flag"),
        ("-m seed=0,1 --no-such-flag=1", "--no-such-flag=1"),
        ("--config-dir", "--config-dir"),
        ("--cfg job -m seed=0,1", "only one of --multirun, --cfg can be given"),
        ("--run seed=1 --info=plugins", "only one of --run, --info can be given"),
        ("--resolve", "--resolve needs --cfg"),
        ("--package algo", "--package needs --cfg"),
        ("--experimental-rerun config.pickle", "`acexp resume RUN`"),
    ],
)
def test_flags_of_training_that_cannot_be_read_are_answered_alike(acexp: Acexp, arguments: str, named: str) -> None:
    result = acexp("env=cliffwalking", *arguments.split())
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("acexp: The arguments of acexp train cannot be read: ")
    assert named in result.stderr
    assert "`acexp train --hydra-help` lists the flags" in result.stderr


def test_settings_may_stand_on_both_sides_of_a_flag(acexp: Acexp) -> None:
    result = acexp("env=cliffwalking", "--cfg", "job", "seed=7", "--package", "seed", "total_steps=64")
    assert (result.returncode, result.stdout.split()) == (0, ["7"])


def test_a_setting_for_a_run_that_exists_is_answered_with_where_settings_belong(acexp: Acexp) -> None:
    result = acexp("resume", "outputs/mine", "total_steps=1000")
    assert (result.returncode, result.stdout) == (2, "")
    assert "unrecognized arguments: total_steps=1000" in result.stderr
    assert "settings, KEY=VALUE, are given to `acexp train` only" in result.stderr


def test_help_on_training_is_hydras(acexp: Acexp) -> None:
    result = acexp("help", "train")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Training: acexp [train] [-m] KEY=VALUE ...")


@pytest.mark.parametrize("arguments", [("version",), ("--version",)])
def test_the_version_is_that_of_acexp(without_torch: Path, arguments: tuple[str, ...]) -> None:
    result = run_without_torch(without_torch, *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"acexp {version('acexp')}, Python 3.")


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [(("trian",), "train"), (("resum", "outputs"), "resume"), (("-m", "statsu"), "status"), (("help", "evla"), "eval")],
)
def test_a_misspelt_command_is_answered_with_the_nearest(
    without_torch: Path, arguments: tuple[str, ...], meant: str
) -> None:
    result = run_without_torch(without_torch, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert "There is no command of this name" in result.stderr
    assert f"did you mean: {meant}" in result.stderr
    assert "Traceback" not in result.stderr
    assert {path.name for path in without_torch.iterdir()} <= {"torch.py", "__pycache__"}


def test_a_word_like_no_command_is_answered_with_all(without_torch: Path) -> None:
    result = run_without_torch(without_torch, "outputs/halfcheetah")
    assert result.returncode == 2
    assert "did you mean" not in result.stderr
    for name in COMMANDS:
        assert name in result.stderr


@pytest.mark.parametrize(
    ("arguments", "command", "rest"),
    [
        ((), "train", []),
        (("seed=0,1", "-m"), "train", ["-m", "seed=0,1"]),
        (("arch=shared", "--multirun", "seed=0,1"), "train", ["--multirun", "arch=shared", "seed=0,1"]),
        (("train", "seed=0"), "train", ["seed=0"]),
        (("train", "seed=0,1", "-m"), "train", ["-m", "seed=0,1"]),
        (("-m", "train", "seed=0,1"), "train", ["-m", "seed=0,1"]),
        (("~eval",), "train", ["~eval"]),
        (("--config-dir", "mine", "clip=tight"), "train", ["--config-dir", "mine", "clip=tight"]),
        (("report", "outputs", "--help"), "report", ["outputs", "--help"]),
        (("eval", "--version"), "eval", ["--version"]),
    ],
)
def test_the_first_word_names_the_command(arguments: tuple[str, ...], command: str, rest: list[str]) -> None:
    assert find(arguments) == (COMMANDS[command], rest)


def test_an_empty_word_is_no_command() -> None:
    with pytest.raises(UserError, match="no command"):
        find([""])


@pytest.mark.parametrize(
    "arguments", [("seed=0,1", "total_steps=80", "-m"), ("train", "seed=0,1", "-m", "total_steps=80")]
)
def test_a_sweep_may_be_asked_for_anywhere(acexp: Acexp, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    result = acexp(*arguments)
    assert result.returncode == 0, result.stderr
    assert len(list(tmp_path.glob("outputs/sweeps/*/*/summary.json"))) == 2


def test_every_command_can_be_loaded() -> None:
    for command in COMMANDS.values():
        assert callable(command.load())


def open_terminal(folder: Path, *arguments: str) -> tuple[subprocess.Popen[bytes], int]:
    """Start a new interpreter whose standard error is a terminal; the process, and the terminal's other end."""
    ours, theirs = pty.openpty()
    variables = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{REPOSITORY}"}
    process = subprocess.Popen(
        [sys.executable, "-m", "acexp", *arguments],
        cwd=folder,
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    return process, ours


def read_until(terminal: int, text: str, seconds: float = 30) -> str:
    shown, deadline = "", time.monotonic() + seconds
    while text not in shown:
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, shown
        shown += os.read(terminal, 1024).decode()
    return shown


@pytest.mark.parametrize("arguments", [(), ("resume", "outputs"), ("report", "outputs"), ("help", "eval")])
def test_a_terminal_shows_that_acexp_is_loading_and_ctrl_c_ends_it(
    without_torch: Path, arguments: tuple[str, ...]
) -> None:
    """It is shown before torch is imported, which here takes a minute, and takes the first seconds elsewhere."""
    process, terminal = open_terminal(without_torch, *arguments)
    with process:
        try:
            assert read_until(terminal, LOADING) == LOADING
            process.send_signal(signal.SIGINT)
            assert read_until(terminal, INTERRUPTED).strip() == INTERRUPTED
            assert process.wait(timeout=30) == 130
        finally:
            process.kill()
            os.close(terminal)


def test_the_line_is_completed_before_anything_else_is_shown(tmp_path: Path) -> None:
    shown = in_terminal(tmp_path, "inspect", "env=cliffwalking").splitlines()
    assert shown[0] == f"{LOADING} done"
    assert shown[1] == "Environment"


def test_what_loads_quickly_does_not_say_so(tmp_path: Path) -> None:
    assert in_terminal(tmp_path, "list", "arch").splitlines()[0].startswith("arch=separate")
