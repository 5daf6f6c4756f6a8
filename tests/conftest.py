"""What several tests need: composing a config as the command line does, and training it into a temporary folder."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from acexp.algorithm.estimate import estimate
from acexp.algorithm.population import Population
from acexp.algorithm.update import update
from acexp.config import RunConfig
from acexp.config.application import compose
from acexp.core.types import UpdateStatistics
from acexp.runs import runner
from acexp.runs.outcome import Outcome

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tests run on every core already."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def without_envpool(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is for most users: envpool is an extra."""
    monkeypatch.setattr("acexp.engines.envpool.is_installed", lambda package: False)


@pytest.fixture
def config() -> Callable[..., RunConfig]:
    """Overrides to a typed config, single-threaded."""
    return lambda *overrides: compose(["torch_threads=1", *overrides])


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., list[Outcome]]:
    """Train configs as one population, each into its own folder under tmp_path."""

    def run(*configs: RunConfig, name: str = "run") -> list[Outcome]:
        return runner.run(configs, [tmp_path / f"{name}{i}" for i in range(len(configs))])

    return run


@pytest.fixture
def acexp(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `python -m acexp` as a user would, in an empty folder with an empty home."""

    def run(
        *arguments: str, cwd: Path = tmp_path, timeout: float = 300, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "acexp", *arguments],
            cwd=cwd,
            env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(REPOSITORY), **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


def start(
    folder: Path, *arguments: str, runner: Sequence[str] = (), group: bool = False, **environment: str
) -> subprocess.Popen[str]:
    """Start `python -m acexp`, or `python -m RUNNER -m acexp`, with all that it prints in one pipe.

    `group`: in a process group of its own, as a shell starts commands.
    """
    return subprocess.Popen(
        [sys.executable, "-m", *runner, *(("-m",) if runner else ()), "acexp", *arguments],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{folder}", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=group,
    )


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait while it runs; fails, with what it printed, if it ends before that."""
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate(timeout=60)[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def in_terminal(folder: Path, *arguments: str) -> str:
    """What `python -m acexp` shows in a real pseudo-terminal, read until it ends well; without colours."""
    main, other = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "acexp", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "TERM": "xterm-256color", "COLUMNS": "140"},
        stdout=other,
        stderr=other,
    )
    os.close(other)
    shown = b""
    while True:
        try:
            chunk = os.read(main, 65536)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
    os.close(main)
    assert process.wait(timeout=60) == 0
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())


def metrics(directory: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl."""
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def parameters(directory: Path) -> dict[str, torch.Tensor]:
    """The parameters that a run ended with."""
    return {name: x for name, x in load_file(directory / "policy.safetensors").items() if not name.startswith("norm")}


def snapshot(population: Population) -> dict[str, torch.Tensor]:
    """A copy of every parameter, `[M, ...]`."""
    return {name: tensor.detach().clone() for name, tensor in population.architecture.parameters.named().items()}


def advance(population: Population, n_updates: int, progress: float = 0.0) -> list[UpdateStatistics]:
    """Take some updates, as the loop does, without logging."""
    statistics = []
    for _ in range(n_updates):
        batch, back = estimate(population, population.collector.collect())
        statistics.append(update(population, batch, back, progress))
    return statistics
