"""The flags of a training's command line: which of them acexp reads by itself, and which Hydra cannot read together."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from acexp.config.hydra_internals import get_args_parser
from acexp.core.errors import UserError
from acexp.core.flags import HELP, MULTIRUN


def has_usual_flags(arguments: Sequence[str]) -> bool:
    """Return True if a command line has overrides and the flags -m and -h only, and none that can set `hydra.mode`."""
    flags = MULTIRUN | HELP
    others = [argument.lstrip("+~") for argument in arguments if argument not in flags]
    return not any(argument.startswith(("-", "hydra.mode=", "hydra.searchpath=", "hydra=")) for argument in others)


def with_flags_first(arguments: Sequence[str]) -> list[str]:
    """Return a command line with its flags before its overrides: Hydra reads no overrides on both sides of a flag.

    Raises UserError for a flag that Hydra does not have, whose value is missing or wrong, or that another one excludes.
    """
    parser = get_args_parser()
    parser.exit_on_error = False
    try:
        parsed, unknown = parser.parse_known_intermixed_args(list(arguments))
    except argparse.ArgumentError as error:
        raise _unreadable(str(error)) from None
    if problem := f"unrecognized arguments: {' '.join(unknown)}" if unknown else _contradiction(parsed):
        raise _unreadable(problem)
    flags = list(arguments)
    for override in parsed.overrides:
        flags.remove(override)
    return [*flags, *parsed.overrides]


def _contradiction(parsed: argparse.Namespace) -> str:
    """Return why flags cannot be given as they are; Hydra fails with a traceback, or ignores one of them."""
    modes = [each for each in ("run", "multirun", "cfg", "info", "shell_completion") if getattr(parsed, each)]
    if len(modes) > 1:
        names = (f"--{each.replace('_', '-')}" for each in modes)
        return f"only one of {', '.join(names)} can be given"
    if parsed.resolve and not (parsed.cfg or parsed.help):
        return "--resolve needs --cfg or --help"
    if parsed.package and not parsed.cfg:
        return "--package needs --cfg"
    if parsed.experimental_rerun:
        return "--experimental-rerun is not supported; `acexp resume RUN` continues a run"
    return ""


def _unreadable(problem: str) -> UserError:
    remedy = "`acexp train --hydra-help` lists the flags; settings are written KEY=VALUE"
    return UserError(f"The arguments of acexp train cannot be read: {problem}.", remedy=remedy)
