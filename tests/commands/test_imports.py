"""What commands import: those that only list or delete must not wait for torch, nor for simulators."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from acexp.config.groups import ALGORITHMS, WRITERS, choices, config_directory, registries
from acexp.sweeps.sweep_directory import note_sweep
from tests.helpers import REPOSITORY

COMMAND = """
import json, sys
from acexp.__main__ import main
code = 0
try:
    code = main(sys.argv[1:])
except SystemExit as end:
    code = end.code or 0
finally:
    open("modules.json", "w").write(json.dumps(sorted(sys.modules)))
sys.exit(code)
"""
"""A program that runs a command and writes which modules were imported at its end."""

NEVER = {"torch", "tensorboard", "mujoco", "ale_py", "box2d", "cv2", "jinja2", "pandas", "plotly"}
MATHEMATICS = {"numpy", "gymnasium"}


def imported(folder: Path, *arguments: str) -> set[str]:
    """Run a command in a process of its own, and return the modules that it has imported."""
    result = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    return set(json.loads((folder / "modules.json").read_text()))


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """A folder with a run and with a sweep of one run, which an earlier version began."""
    for run in (tmp_path / "outputs/pong/first", tmp_path / "outputs/sweeps/try/seed=0"):
        run.mkdir(parents=True)
        (run / "status.json").write_text(json.dumps({"status": "done", "identity": run.name, "steps": 1000}))
        (run / "checkpoint.pt").write_bytes(b"a checkpoint")
        (run / "checkpoint.json").write_text(json.dumps({"sha256": {"0": 1000}}))
    note_sweep(tmp_path / "outputs/sweeps/try", ["seed=0", "seed=1"], ["-m", "seed=0,1", "a2c.gamma=0.9,0.99"])
    return tmp_path


@pytest.mark.parametrize("directory", [(), ("outputs/pong/first",), ("outputs/sweeps/try",)])
def test_status_imports_neither_torch_nor_hydra(outputs: Path, directory: tuple[str, ...]) -> None:
    assert not imported(outputs, "status", *directory) & {*NEVER, *MATHEMATICS, "hydra"}


def test_delete_imports_neither_torch_nor_hydra(outputs: Path) -> None:
    assert not imported(outputs, "delete", "outputs", "--only", "done", "--yes") & {*NEVER, *MATHEMATICS, "hydra"}
    assert not (outputs / "outputs/pong/first").exists()


@pytest.mark.parametrize("group", [(), ("env",), ("optim.algorithm",), ("log.writers",), ("env.wrappers",)])
def test_list_imports_no_component(tmp_path: Path, group: tuple[str, ...]) -> None:
    assert not imported(tmp_path, "list", *group) & {*NEVER, "hydra"}


@pytest.mark.parametrize("arguments", [("--help",), ("env=pong", "-h"), ("help", "train")])
def test_hydras_help_imports_no_component(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert not imported(tmp_path, *arguments) & {*NEVER, *MATHEMATICS}


@pytest.mark.parametrize("arguments", [("help",), ("--version",), ("version",)])
def test_what_is_known_without_a_library_imports_none(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert not imported(tmp_path, *arguments) & {*NEVER, *MATHEMATICS, "hydra", "omegaconf", "rich", "yaml"}


def test_a_training_imports_no_report_and_no_other_simulator(tmp_path: Path) -> None:
    found = imported(tmp_path, "env=cliffwalking", "algo.n_envs=2", "algo.n_steps=2", "total_steps=4")
    assert "torch" in found
    assert not found & {"acexp.report", "jinja2", "plotly", "ale_py", "mujoco", "envpool", "imageio"}


def test_the_list_knows_what_acexp_registers() -> None:
    """Names and summaries that are listed without an import are those of the registries."""
    for key, listed in (("optim.algorithm", ALGORITHMS), ("log.writers", WRITERS)):
        registry = registries()[key]
        ours = [name for name in registry.names if registry[name].build.__module__.startswith("acexp.")]
        assert listed == {name: registry[name].summary for name in ours}


@pytest.mark.parametrize("group", [group for group in registries() if "." not in group])
def test_every_choice_has_a_summary_in_its_file(group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acexp.config.groups.registries", dict)
    assert all(choice.summary for choice in choices(group, [config_directory()]))
