"""The arguments of a command: what cannot be read is refused as all mistakes are, and numbers are converted."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NoReturn

from acexp.core.errors import UserError


class Arguments(argparse.ArgumentParser):
    """The parser of a command's arguments; it raises UserError where argparse prints the usage and exits."""

    def error(self, message: str) -> NoReturn:
        """Raise UserError with argparse's message, and with what the user can do."""
        command = self.prog.removeprefix("acexp ")
        remedy = f"`acexp help {command}` lists its arguments"
        if "unrecognized" in message and "=" in message and " --" not in message:
            remedy += "; settings, KEY=VALUE, are given to `acexp train` only: a run keeps those of its config.yaml"
        raise UserError(f"The arguments of {self.prog} cannot be read: {message}.", remedy=remedy)


def at_least_one(what: str) -> Callable[[str], int]:
    """Return a type for argparse: a whole number of at least 1; `what` names the thing that is counted."""

    def number(text: str) -> int:
        n = int(text)
        if n < 1:
            raise argparse.ArgumentTypeError(f"at least one {what} is needed")
        return n

    return number
