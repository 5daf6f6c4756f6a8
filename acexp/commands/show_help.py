"""`acexp help`: lists the commands, or shows the arguments of one."""

from __future__ import annotations

import sys

from acexp.commands import COMMANDS, GROUPS, HELP, find

INTRODUCTION = """\
acexp trains actor-critic agents: one run, or a sweep of many. The first commands to try:
  acexp env=halfcheetah arch=shared
  acexp -m env=cliffwalking arch=separate,shared seed=0,1,2"""
CLOSING = (
    "`acexp help COMMAND` shows the arguments of one; `acexp --help` adds what can be chosen and set for training."
)


def show_help(arguments: list[str]) -> int:
    """Print the list of commands; with the name of a command, its arguments; with --help, also Hydra's own help."""
    if HELP & set(arguments):
        _print(f"{list_of_commands()}\n")
        return COMMANDS["train"].load()(arguments)
    if arguments:
        command, _ = find(arguments)
        return command.load()(["--help"])
    _print(f"{list_of_commands()}\n{CLOSING}\n")
    return 0


def list_of_commands() -> str:
    """Return all commands in their groups, with one line on each."""
    calls = {name: f"acexp {name} {command.arguments}".rstrip() for name, command in COMMANDS.items()}
    width = max(map(len, calls.values()))
    lines = [INTRODUCTION]
    for title, commands in GROUPS.items():
        lines += ["", title]
        lines += [f"  {calls[name]:<{width}}  {command.summary}" for name, command in commands.items()]
    return "\n".join([*lines, ""])


def _print(text: str) -> None:
    """Print a text now: what follows may take seconds to load."""
    sys.stdout.write(text)
    sys.stdout.flush()
