"""Training, the command without a name: one run, or a sweep with -m."""

from __future__ import annotations

import contextlib
from tempfile import TemporaryDirectory

from acexp.commands.console import conclude, console_for_runs
from acexp.commands.training import StopSweep, Training
from acexp.config import application
from acexp.config.launcher import DRY_RUN, KEY
from acexp.core.errors import UserError
from acexp.core.flags import MULTIRUN
from acexp.sweeps import executors
from acexp.system import torchrun


def train(arguments: list[str], *, only_new: bool = False) -> int:
    """Train what Hydra's command line describes, and print how it ended; returns the exit code.

    With `only_new`, runs of a sweep that have begun before are left alone.
    """
    with contextlib.ExitStack() as stack:
        if torchrun.world_size() > 1:
            arguments = _for_one_of_several(arguments, stack)
        if MULTIRUN & set(arguments) and _trains_in_local_processes(arguments):
            executors.start_fork_server()
        training = Training(console_for_runs(), arguments, only_new=only_new)
        with contextlib.suppress(StopSweep):
            application.run(arguments, training)
    return conclude(training.console, training.outcomes, training.n_unstarted, training.signal_number)


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
