"""Fixtures: a config composed as the command line composes it, a training into a temporary folder, a command."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from acexp.config import RunConfig
from acexp.config.application import compose
from acexp.runs import runner
from acexp.runs.outcome import Outcome
from acexp.runs.run import Run
from acexp.system.packages import is_installed
from tests.command_server import SERVER
from tests.helpers import REPOSITORY

# No example has a deadline, since other tests may take the cores. `make soak` chooses the second profile.
hypothesis_settings.register_profile(
    "default", max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
hypothesis_settings.register_profile(
    "soak", hypothesis_settings.get_profile("default"), max_examples=2000, derandomize=False, print_blob=True
)
hypothesis_settings.load_profile("default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let long tests begin first: one that began last would keep a single core busy while the others wait."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(autouse=True)
def same_random_numbers() -> None:
    """What a test draws without a seed of its own is the same in every run, and in whatever order tests run."""
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)


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
    monkeypatch.setattr("acexp.engines.base.is_installed", lambda module: module != "envpool" and is_installed(module))


@pytest.fixture
def config() -> Callable[..., RunConfig]:
    """Overrides to a typed config, single-threaded."""
    return lambda *overrides: compose(["torch_threads=1", *overrides])


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., list[Outcome]]:
    """Train configs as one population, each into its own folder under tmp_path."""

    def run(*configs: RunConfig, name: str = "run") -> list[Outcome]:
        return runner.train([Run(config, tmp_path / f"{name}{i}") for i, config in enumerate(configs)])

    return run


@pytest.fixture
def acexp(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `python -m acexp` as a user would, in an empty folder with an empty home.

    Variables that libraries read when they are imported need a new interpreter, so a call that sets any gets one.
    """

    def run(
        *arguments: str, cwd: Path = tmp_path, timeout: float = 300, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        variables = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(REPOSITORY), **environment}
        if not environment:
            return SERVER.run(arguments, cwd, variables, timeout)
        return subprocess.run(
            [sys.executable, "-m", "acexp", *arguments],
            cwd=cwd,
            env=variables,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run
