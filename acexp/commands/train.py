"""Training, the command without a name: one run, or a sweep with -m."""

from __future__ import annotations

import contextlib
from tempfile import TemporaryDirectory

from rich.console import Console

from acexp.commands.console import conclude
from acexp.commands.screen import console_for_runs
from acexp.commands.training import StopSweep, Training
from acexp.config import application
from acexp.config.launcher import DRY_RUN, KEY
from acexp.core.errors import UserError
from acexp.core.flags import MULTIRUN
from acexp.sweeps import executors
from acexp.system import torchrun

OF_SWEEPS = tuple(f"hydra{mark}" for mark in (".launcher.", ".sweeper.", ".sweep.", "/launcher=", "/sweeper="))
"""What arguments begin with that concern sweeps only."""


def train(arguments: list[str], *, only_new: bool = False) -> int:
    """Train what Hydra's command line describes, and print how it ended; returns the exit code.

    With `only_new`, runs of a sweep that have begun before are left alone.
    """
    with contextlib.ExitStack() as stack:
        if torchrun.world_size() > 1:
            arguments = _for_one_of_several(arguments, stack)
        if MULTIRUN & set(arguments) and _trains_in_local_processes(arguments):
            executors.prepare_processes()
        training = Training(console_for_runs(), arguments, only_new=only_new)
        if not MULTIRUN & set(arguments):
            _check_settings_of_sweeps(training.console, arguments)
        with contextlib.suppress(StopSweep):
            application.run(arguments, training)
    return conclude(training.console, training.outcomes, training.n_unstarted, training.signal_number)


def _check_settings_of_sweeps(console: Console, arguments: list[str]) -> None:
    """Print which arguments have no effect on a single run; raise UserError if one asks that nothing be trained."""
    for argument in arguments:
        if argument.startswith(f"{DRY_RUN}="):
            raise UserError(
                "This describes a sweep before it trains, and without -m a single run is trained.",
                place=argument,
                remedy="add -m; `acexp inspect` shows what a single run builds",
            )
        if argument.startswith(OF_SWEEPS):
            console.print(f"{argument} has no effect without -m.", markup=False)


def _trains_in_local_processes(arguments: list[str]) -> bool:
    """Whether the command line leaves the executor as it is; a file may still name another."""
    if f"{DRY_RUN}=true" in arguments:
        return False
    named = [argument for argument in arguments if argument.startswith(f"{KEY}.executor=")]
    return not named or named == [f"{KEY}.executor=local"]


def _for_one_of_several(arguments: list[str], stack: contextlib.ExitStack) -> list[str]:
    """Return the command line for one of several processes that train one run: only rank 0 has the run's directory."""
    if MULTIRUN & set(arguments):
        raise UserError(
            "torchrun spreads one run over processes, and a sweep starts processes by itself.",
            value="-m",
            remedy="leave out torchrun, or train one run",
        )
    if not torchrun.rank():
        return arguments
    return [*arguments, f"hydra.run.dir={stack.enter_context(TemporaryDirectory(prefix='acexp-'))}/run"]
