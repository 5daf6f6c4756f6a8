"""Layer 5: which process writes a run."""

from __future__ import annotations

import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from acexp.core.errors import UserError
from acexp.system.files import now

LOCK = ".lock"


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Keep every other process from writing the run. The lock goes with the process, however it ends."""
    path = directory / LOCK
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise UserError(
                f"Another process writes this run: {file.read().strip() or 'it did not say who it is'}.",
                value=str(directory),
                remedy="wait for it, or stop it",
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}, since {now()}\n")
        file.flush()
        yield


def is_held(directory: Path) -> bool:
    """Whether a process writes the run at the moment."""
    try:
        with (directory / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
