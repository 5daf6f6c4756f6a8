"""`acexp doctor`: what this installation can do, and what to install for what it cannot."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from acexp.engines.rendering import BACKENDS, obstacle
from acexp.runs.run_directory import versions
from acexp.system.cores import available_cores

Row = tuple[str, str, str]
"""What was looked at, what was found, and what to do about it."""

PACKAGES = (
    ("ale-py", "Atari games", "pip install ale-py"),
    ("mujoco", "HalfCheetah and other MuJoCo environments", "pip install mujoco"),
    ("box2d", "LunarLander", "pip install 'gymnasium[box2d]'"),
    ("envpool", "LunarLander and CartPole faster (optional)", "pip install 'acexp[fast]'"),
    ("ray", "sweeps on Ray (optional)", "pip install 'acexp[ray]'"),
    ("submitit", "sweeps on Slurm (optional)", "pip install 'acexp[slurm]'"),
    ("optuna", "searches (optional)", "pip install 'acexp[optuna]'"),
)


def doctor(arguments: list[str]) -> int:
    """Look at everything that a run needs; the exit code is 1 if runs could not be written."""
    argparse.ArgumentParser(prog="acexp doctor", description="Check this installation.").parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    found = versions(("torch", *(package for package, _, _ in PACKAGES)))
    installed = [("python, torch", f"{found['python']}, {found.get('torch', 'missing')}", "")]
    installed += [
        (f"{package}: {purpose}", found.get(package, "missing"), "" if package in found else remedy)
        for package, purpose, remedy in PACKAGES
    ]
    outputs = _outputs()
    for title, rows in (
        ("Packages", installed),
        ("Machine", _machine()),
        ("Rendering without a screen (MUJOCO_GL)", [_renderer(name) for name in BACKENDS]),
        ("Files", [outputs]),
    ):
        table = Table(box=None, title=title, title_justify="left", title_style="bold", show_header=False)
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)
    return 1 if outputs[2] else 0


def _machine() -> list[Row]:
    devices = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    return [
        ("cores to use", str(available_cores()), ""),
        ("torch threads by default", str(torch.get_num_threads()), ""),
        ("devices", ", ".join(devices), ""),
    ]


def _renderer(name: str) -> Row:
    reason = obstacle(name)
    return (name, "works", "") if reason is None else (name, f"does not work: {reason}", BACKENDS[name])


def _outputs() -> Row:
    folder = Path("outputs").resolve()
    try:
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 1024)
    except OSError as error:
        return str(folder), f"cannot be written: {error.strerror}", "start acexp elsewhere, or set hydra.run.dir=..."
    return str(folder), "can be written", ""
