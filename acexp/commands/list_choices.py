"""`acexp list`: lists the choices of the config groups, and of settings that take names."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from acexp.commands.arguments import Arguments
from acexp.config import GROUPS, choices
from acexp.config.groups import NAMED_IN_SETTINGS, config_directory
from acexp.config.load import import_plugins


def list_choices(arguments: list[str]) -> int:
    """Print every choice of a group, or of all, one line each; settings that take names are shown too."""
    parser = Arguments(prog="acexp list", description="List the choices of config groups, one line each.")
    parser.add_argument("group", nargs="?", help=", ".join((*GROUPS, *NAMED_IN_SETTINGS)))
    parser.add_argument("--config-dir", type=Path, help="a folder with your own YAML files")
    parser.add_argument("--plugin", action="append", default=[], help="a module to import first; may be repeated")
    options = parser.parse_args(arguments)

    import_plugins(options.plugin)
    directories = [config_directory()] + ([options.config_dir] if options.config_dir else [])
    console = Console(highlight=False, soft_wrap=True)
    for group in [options.group] if options.group else (*GROUPS, *NAMED_IN_SETTINGS):
        found = choices(group, directories, with_plugins=bool(options.plugin))
        width = max((len(choice.name) for choice in found), default=0)
        for choice in found:
            console.print(f"{group}={choice.name:<{width}}  {choice.summary}".rstrip(), markup=False)
    return 0
