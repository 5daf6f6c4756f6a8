"""Layer 5: one of a fleet's processes: trains a population, tells its parent how it goes, and stops when told to."""

from __future__ import annotations

import contextlib
import signal
import sys
import warnings
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from acexp import runner
from acexp.config import RunConfig
from acexp.config.load import import_plugins
from acexp.signals import STOPPING

STOP = "stop"
"""What a parent sends."""


class Progress(NamedTuple):
    """How far a population has come.

    Attributes:
        step: env steps of each member.
        steps_per_second: of all members together.
        mean_return: of the members' recent episodes; None while none has ended.
    """

    step: int
    steps_per_second: float
    mean_return: float | None


class _Reporter:
    """The display of a run whose terminal belongs to another process: passes progress on, and takes orders."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def start(self, title: str, total_steps: int) -> None:
        pass

    def update(self, step: int, steps_per_second: float, mean_return: float | None) -> None:
        """Raises KeyboardInterrupt when asked to stop, or when nobody listens any more."""
        try:
            if self._connection.poll():
                raise KeyboardInterrupt
            self._connection.send(Progress(step, steps_per_second, mean_return))
        except OSError:
            raise KeyboardInterrupt from None

    def close(self) -> None:
        pass


def train_population(
    connection: Connection,
    configs: Sequence[RunConfig],
    directories: Sequence[Path],
    cores: int,
    resume: bool,
    allow_changes: bool,
) -> None:
    """What a process does. Signals may reach it too, but its parent tells it when to stop."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    import_plugins(configs[0].plugins)
    outcomes = runner.attempt(
        configs, directories, _Reporter(connection), cores, resume=resume, allow_changes=allow_changes
    )
    with contextlib.suppress(OSError):
        connection.send(outcomes)
    connection.close()
