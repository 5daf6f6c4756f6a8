"""`acexp list`: lists the choices of the config groups, and the writers of logs."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from acexp.config import GROUPS, choices
from acexp.config.application import config_directory
from acexp.config.load import import_plugins
from acexp.metrics import WRITERS


def list_choices(arguments: list[str]) -> int:
    """Print every choice of a group, or of every group, one line each; writers are listed like a group."""
    parser = argparse.ArgumentParser(prog="acexp list", description="List the choices of config groups, one line each.")
    parser.add_argument("group", nargs="?", help=", ".join((*GROUPS, WRITERS.group)))
    parser.add_argument("--config-dir", type=Path, help="a folder with your own YAML files")
    parser.add_argument("--plugin", action="append", default=[], help="a module to import first; may be repeated")
    options = parser.parse_args(arguments)

    import_plugins(options.plugin)
    directories = [config_directory()] + ([options.config_dir] if options.config_dir else [])
    console = Console(highlight=False, soft_wrap=True)
    for group in [options.group] if options.group else (*GROUPS, WRITERS.group):
        if group == WRITERS.group:
            lines = [(f"log.writers=[{name}]", WRITERS[name].summary) for name in WRITERS.names]
        else:
            lines = [(f"{group}={choice.name}", choice.summary) for choice in choices(group, directories)]
        width = max((len(choice) for choice, _ in lines), default=0)
        for choice, summary in lines:
            console.print(f"{choice:<{width}}  {summary}".rstrip(), markup=False)
    return 0
