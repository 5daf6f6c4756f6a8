"""acexp where there is no fcntl, no fork, no forkserver, and no signal that Windows lacks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from acexp.algorithm.assembly import resolve
from acexp.config import RunConfig
from acexp.core.errors import UserError
from acexp.system import lock
from tests.helpers import REPOSITORY, parameters, wait_until

Acexp = Callable[..., subprocess.CompletedProcess[str]]
HIDING = f"{Path(__file__).parent / 'hiding'}{os.pathsep}{REPOSITORY}"
CONSOLE = {"PYTHONPATH": HIDING, "PYTHONIOENCODING": "cp1252", "OMP_WAIT_POLICY": "PASSIVE"}
SMALL = ("env=cliffwalking", "total_steps=2000", "log.every=500")
SWEEP = ("-m", "env=gym", "env.id=CartPole-v1", "engine=gymnasium", "algo.n_envs=2", "total_steps=60000")
SWEEP += ("arch=separate,shared", "seed=0,1", "name=four")


def python(folder: Path, code: str) -> subprocess.Popen[str]:
    """Start code in an interpreter without what Windows lacks."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, **CONSOLE},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def begin(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a command in a process group of its own, as a terminal does."""
    return subprocess.Popen(
        [sys.executable, "-m", "acexp", *arguments],
        cwd=folder,
        env={**os.environ, **CONSOLE, "HOME": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def press_ctrl_c(process: subprocess.Popen[str]) -> str:
    """Send Ctrl-C to the command and to all of its processes, and return what it has printed."""
    os.killpg(process.pid, signal.SIGINT)
    printed = process.communicate(timeout=120)[0]
    assert process.returncode == 128 + signal.SIGINT, printed
    assert "Traceback" not in printed
    return printed


def test_every_module_can_be_imported(tmp_path: Path) -> None:
    code = """
import importlib, pkgutil, acexp
names = [module.name for module in pkgutil.walk_packages(acexp.__path__, "acexp.") if "_plugins" not in module.name]
for name in names:
    if not name.endswith(("executors.ray", "executors.slurm", "__main__")):
        importlib.import_module(name)
from acexp.system.cores import available_cores
from acexp.sweeps.executors import prepare_processes
print(len(names) > 100, available_cores() > 0, prepare_processes().get_start_method())
"""
    process = python(tmp_path, code)
    assert process.communicate(timeout=120)[0].split() == ["True", "True", "spawn"]


def test_a_lock_names_its_holder_and_ends_with_it(tmp_path: Path) -> None:
    code = """
from pathlib import Path
from acexp.system.lock import is_locked, locked
print(is_locked(Path()), flush=True)
with locked(Path()):
    print(is_locked(Path()), flush=True)
    input()
"""
    first = python(tmp_path, code)
    assert first.stdout is not None
    assert [first.stdout.readline().strip() for _ in range(2)] == ["False", "True"]
    second = python(tmp_path, code.replace("with", "from acexp.core.errors import UserError\nwith"))
    printed = second.communicate("", timeout=60)[0]
    assert printed.startswith("True\n")
    assert f"Another process writes this run: process {first.pid} on " in printed
    first.kill()
    first.communicate()
    third = python(tmp_path, code)
    assert third.communicate("\n", timeout=60)[0] == "False\nTrue\n"


def test_a_waiting_lock_waits_and_other_errors_are_not_called_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [False, False, True]
    monkeypatch.setattr(lock, "_lock", lambda file, shared=False: answers.pop(0))
    with lock.waiting_lock(tmp_path / "file"):
        assert answers == []

    def no_locks(file: object, *, shared: bool = False) -> bool:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(lock, "_lock", no_locks)
    with (
        pytest.raises(UserError, match="cannot be taken: No locks available") as caught,
        lock.locked(tmp_path),
    ):
        pass
    assert "Another process" not in str(caught.value)


def test_a_single_run_is_the_one_that_linux_trains(tmp_path: Path, acexp: Acexp) -> None:
    directories = [tmp_path / "outputs" / "cliffwalking" / name for name in ("linux", "other")]
    for directory, environment in zip(directories, ({}, CONSOLE), strict=True):
        result = acexp(*SMALL, f"name={directory.name}", **environment)
        assert result.returncode == 0, result.stderr
    linux, other = map(parameters, directories)
    assert all(torch.equal(x, other[name]) for name, x in linux.items())


@pytest.mark.long
def test_a_sweep_is_stopped_resumed_and_reported(tmp_path: Path, acexp: Acexp) -> None:
    folder = tmp_path / "outputs" / "sweeps" / "four"
    process = begin(tmp_path, *SWEEP)
    wait_until(lambda: len(list(folder.glob("*/"))) == 4, process)
    time.sleep(1.0)
    press_ctrl_c(process)  # while the processes of the sweep still import torch
    process = begin(tmp_path, *SWEEP)
    wait_until(lambda: len([run for run in folder.glob("*/metrics.jsonl") if run.stat().st_size]) == 4, process)
    assert "go on with" in press_ctrl_c(process)
    statuses = [json.loads(path.read_text())["status"] for path in folder.glob("*/status.json")]
    assert statuses == ["interrupted"] * 4
    result = acexp("resume", str(folder), **CONSOLE)
    assert result.returncode == 0, result.stdout + result.stderr
    shown = acexp("status", str(folder), **CONSOLE).stdout
    assert shown.count("done") >= 4, shown
    result = acexp("report", str(folder), **CONSOLE)
    assert result.returncode == 0, result.stderr
    assert list(folder.rglob("report.html")), result.stdout


def test_slurm_says_which_signal_is_missing(acexp: Acexp) -> None:
    result = acexp(*SWEEP, "hydra.launcher.executor=slurm", "hydra.launcher.slurm.cluster=local", **CONSOLE)
    assert result.returncode == 2
    assert "SIGUSR2" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_device_without_float64_is_refused(config: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = torch.zeros

    def zeros_as_on_mps(*size: int, dtype: torch.dtype | None = None, device: object = None) -> torch.Tensor:
        if dtype is torch.float64:
            raise TypeError(
                "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."
            )
        return zeros(*size, dtype=dtype)

    monkeypatch.setattr(torch, "zeros", zeros_as_on_mps)
    with pytest.raises(UserError, match=r"cannot use the device 'mps'.*float64") as caught:
        resolve(config("env=cliffwalking", "device=mps"))
    assert caught.value.key == "device"
