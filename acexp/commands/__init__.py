"""The commands of `acexp`, each of which parses its arguments, calls one function and prints the result.

This module imports none of them: most import torch, which takes seconds, and a list of the commands must not wait.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple, cast

from acexp.commands.loading import loading
from acexp.core.errors import UserError
from acexp.core.flags import HELP, MULTIRUN


class Command(NamedTuple):
    """A command.

    Attributes:
        module: The name of its module in this package, and of its function there.
        arguments: The arguments that it is called with most often, for the list of commands.
        summary: What it does, in one line.
        imports_torch: Whether its module imports torch.
    """

    module: str
    arguments: str
    summary: str
    imports_torch: bool = True

    def load(self) -> Callable[[list[str]], int]:
        """Import the command's function, and show meanwhile on a terminal that acexp is loading."""
        with loading(shown=self.imports_torch):
            module = import_module(f"{__name__}.{self.module}")
        return cast(Callable[[list[str]], int], getattr(module, self.module))


GROUPS: dict[str, dict[str, Command]] = {
    "Choose and check": {
        "list": Command(
            "list_choices", "[GROUP]", "list what can be chosen, with one line on each choice", imports_torch=False
        ),
        "inspect": Command(
            "inspect", "KEY=VALUE ...", "show what a config builds, on one real batch; nothing is trained"
        ),
        "doctor": Command("doctor", "[env=ENV]", "check the installation, and an environment if one is named"),
    },
    "Train": {
        "train": Command("train", "[-m] KEY=VALUE ...", "train one run, with -m a sweep; `train` may be left out"),
        "status": Command(
            "status",
            "[DIRECTORY]",
            "list all runs and sweeps, newest first, or the runs of one sweep",
            imports_torch=False,
        ),
        "resume": Command("resume", "DIRECTORY", "go on with a run, or a sweep, that was stopped or killed"),
        "delete": Command(
            "delete",
            "DIRECTORY --only STATE",
            "delete the runs with a status: failed, killed, ...",
            imports_torch=False,
        ),
    },
    "Look at the results": {
        "eval": Command(
            "evaluate", "DIRECTORY", "play episodes with the last or best policy of a run, or of a sweep's runs"
        ),
        "report": Command("report", "DIRECTORY", "compare runs, with intervals: report.html, report.md, tables"),
        "dashboard": Command("dashboard", "DIRECTORY", "open TensorBoard, with means over seeds as additional curves"),
        "video": Command("video", "DIRECTORY", "record an episode of a run, without a screen"),
        "export": Command("export", "DIRECTORY", "write the policy of a run as ONNX, with a model card"),
    },
    "About acexp": {
        "help": Command(
            "show_help", "[COMMAND]", "show this list, or the arguments of one command", imports_torch=False
        ),
        "version": Command("show_version", "", "show the version of acexp", imports_torch=False),
    },
}
"""The commands by the words that name them, in the groups in which they are listed."""

COMMANDS: dict[str, Command] = {name: command for group in GROUPS.values() for name, command in group.items()}
"""All commands, by the words that name them."""


def find(arguments: Sequence[str]) -> tuple[Command, list[str]]:
    """Return the command that a command line names, and the arguments for it; raise UserError for an unknown one.

    A command line without a command trains. Its -m may stand anywhere, which Hydra's own parser does not accept.
    """
    flags = [argument for argument in arguments if argument in MULTIRUN]
    words = [argument for argument in arguments if argument not in MULTIRUN]
    first = words[0] if words else None
    if first in COMMANDS:
        return COMMANDS[first], [*flags, *words[1:]]
    if HELP & set(words):
        return COMMANDS["help"], [*flags, *words]
    if "--version" in words:
        return COMMANDS["version"], []
    if first is None or "=" in first or first.startswith(("-", "~")):  # `~key` removes a key in Hydra's grammar
        return COMMANDS["train"], [*flags, *words]
    raise UserError(
        "There is no command of this name.",
        value=first,
        choices=tuple(COMMANDS),
        remedy="`acexp help` has a line on each command; settings are written KEY=VALUE",
    )
