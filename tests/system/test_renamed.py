"""Import paths that users had keep working, and say what they are called now."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from acexp.config import RunConfig
from acexp.runs import runner
from acexp.runs.run_directory import Status
from acexp.system.renamed import RENAMED
from tests.helpers import REPOSITORY


@pytest.mark.parametrize(("old", "new"), RENAMED.items(), ids=RENAMED)
def test_an_old_name_answers_with_the_new_module(monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(DeprecationWarning, match=f"{old} is now {new}"):
        module = importlib.import_module(old)
    assert module is importlib.import_module(new)
    assert module.__spec__ is not None
    assert module.__spec__.name == new
    monkeypatch.delitem(sys.modules, old, raising=False)


def test_names_that_did_not_move() -> None:
    """In a new interpreter, with warnings as errors: none of them warns."""
    code = (
        "import acexp; acexp.load; acexp.read; acexp.read_metrics\n"
        "from acexp.architectures import ARCHITECTURES, ArchitectureConfig, register_module\n"
        "from acexp.engines import ENGINES\n"
        "from acexp.normalizers import NORMALIZERS, REWARD_NORMALIZERS\n"
        "from acexp.optimizers import ALGORITHMS, OPTIMIZERS\n"
    )
    command = [sys.executable, "-W", "error::DeprecationWarning:acexp", "-c", code]
    subprocess.run(command, cwd=REPOSITORY, check=True, timeout=120)


def test_the_old_function_trains(config: Callable[..., RunConfig], tmp_path: Path) -> None:
    settings = config("total_steps=64")
    with pytest.warns(DeprecationWarning, match=r"acexp\.runner\.run is now acexp\.runs\.runner\.train"):
        (outcome,) = runner.run([settings], [tmp_path / "run"])
    assert (outcome.status, outcome.directory) == (Status.DONE, tmp_path / "run")
    with pytest.warns(DeprecationWarning, match="is now"):
        (resumed,) = runner.run([settings], [tmp_path / "run"], resume=True, cores=1)
    assert resumed.resume == "exact"
