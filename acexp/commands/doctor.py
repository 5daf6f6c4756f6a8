"""`acexp doctor`: checks the installation, and shows how to add what is missing."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.table import Table
from rich.text import Text

from acexp.algorithm.assembly import check
from acexp.commands.arguments import Arguments
from acexp.commands.screen import console_for_tables
from acexp.config import RunConfig, application
from acexp.engines import ENGINES
from acexp.engines.rendering import BACKENDS, obstacle
from acexp.metrics import WRITERS, packages_of
from acexp.system.cores import available_cores
from acexp.system.packages import Package, versions

Row = tuple[str, str, str]
"""A check: its subject, its result, and the remedy if the result is a problem, else an empty text."""

OPTIONAL = (
    Package("ray", "sweeps on Ray (optional)", "pip install 'acexp[ray]'"),
    Package("submitit", "sweeps on Slurm (optional)", "pip install 'acexp[slurm]'"),
    Package("optuna", "searches (optional)", "pip install 'acexp[optuna]'"),
)
"""The optional packages that belong to no engine and no writer; each of these lists its own."""


def doctor(arguments: list[str]) -> int:
    """Check everything that a run needs and return the exit code, 1 if runs could not be written.

    With overrides, the environment that they choose is checked too; raises UserError if it is faulty.
    """
    parser = Arguments(prog="acexp doctor", description="Check this installation, and an environment if one is named.")
    parser.add_argument(
        "overrides", nargs="*", help="overrides that choose an environment: env=gym env.id=module:Id-v0"
    )
    parser.add_argument("--config-dir", help="a folder with your own YAML files")
    options = parser.parse_args(arguments)
    config = application.compose(options.overrides, options.config_dir) if options.overrides else None
    console = console_for_tables()
    engines = [package for name in ENGINES.names for package in ENGINES[name].build.packages]
    writers = [package for name in WRITERS.names for package in packages_of(name)]
    packages = [*sorted(engines, key=lambda package: "optional" in package.purpose), *OPTIONAL, *writers]
    found = versions(("torch",))
    installed = [("python, torch", f"{found['python']}, {found.get('torch', 'missing')}", "")]
    installed += [
        (f"{each.name}: {each.purpose}", each.version or "missing", "" if each.version else each.remedy)
        for each in packages
    ]
    outputs = _outputs()
    for title, rows in (
        ("Packages", installed),
        ("Machine", _machine()),
        ("Rendering without a screen (MUJOCO_GL)", [_renderer(name) for name in BACKENDS]),
        ("Files", [outputs]),
    ):
        console.print(_table(title, rows))
    if config is not None:
        console.print(_table(f"Environment {config.env.id}", _environment(config)))
    return 1 if outputs[2] else 0


def _table(title: str, rows: Sequence[Row]) -> Table:
    table = Table(box=None, title=title, title_justify="left", title_style="bold", show_header=False)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _environment(config: RunConfig) -> list[Row]:
    """Step two instances of an environment, and return what is remarkable about it; raises UserError for a fault."""
    remarks = check(config, trust_known=False)
    first = ("two instances, a few steps", "as their spaces say", "")
    return [first, *(("remark", remark, "") for remark in remarks)]


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
    """Check `outputs`, and the folders in it, which earlier commands have made, perhaps of another user."""
    folder = Path.cwd() / "outputs"
    for place in (folder, *folder.glob("*/")):
        try:
            place.mkdir(exist_ok=True)
            with tempfile.TemporaryFile(dir=place) as file:
                file.write(b"\0" * 1024)
        except OSError as error:
            reason = "it is not a folder" if isinstance(error, FileExistsError) else error.strerror
            return str(place), f"cannot be written: {reason}", "start acexp elsewhere, or set hydra.run.dir=..."
    return str(folder), "can be written", ""
