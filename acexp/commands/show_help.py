"""`acexp help`: lists the commands, or shows the arguments of one."""

from __future__ import annotations

import shutil
import sys
from textwrap import TextWrapper, wrap

from acexp.commands import COMMANDS, GROUPS, find
from acexp.core.flags import HELP

INTRODUCTION = "acexp trains actor-critic agents: one run, or a sweep of many. The first commands to try:"
FIRST_COMMANDS = ("  acexp env=halfcheetah arch=shared", "  acexp -m env=cliffwalking arch=separate,shared seed=0,1,2")
CLOSING = (
    "`acexp help COMMAND` shows the arguments of one; `acexp --help` adds what can be chosen and set for training."
)


def show_help(arguments: list[str]) -> int:
    """Print the list of commands; with the name of a command, its arguments; with --help, also Hydra's own help."""
    if HELP & set(arguments):
        _print(f"{list_of_commands()}\n")
        return _show_help_on_training(arguments)
    if arguments:
        command, _ = find(arguments)
        return _show_help_on_training(["--help"]) if command is COMMANDS["train"] else command.load()(["--help"])
    _print("\n".join([list_of_commands(), *wrap(CLOSING, _columns()), ""]))
    return 0


def _show_help_on_training(arguments: list[str]) -> int:
    from acexp.config import application  # which brings Hydra along; the list of commands does not wait for it

    application.show_help(arguments)
    return 0


def list_of_commands() -> str:
    """Return all commands in their groups, with one line on each, or more lines in a narrow terminal."""
    calls = {name: f"acexp {name} {command.arguments}".rstrip() for name, command in COMMANDS.items()}
    width = max(map(len, calls.values()))
    wrapper = TextWrapper(_columns(), subsequent_indent=" " * (width + 4), break_on_hyphens=False)
    lines = [*wrap(INTRODUCTION, _columns()), *FIRST_COMMANDS]
    for title, commands in GROUPS.items():
        lines += ["", title]
        for name, command in commands.items():
            lines += wrapper.wrap(f"  {calls[name]:<{width}}  {command.summary}")
    return "\n".join([*lines, ""])


def _columns() -> int:
    """Return the width that lines may have: that of the terminal; without one, as in a pipe, any."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize


def _print(text: str) -> None:
    """Print a text now: what follows may take seconds to load."""
    sys.stdout.write(text)
    sys.stdout.flush()
