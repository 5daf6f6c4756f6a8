"""Locks that keep two processes from writing the same directory."""

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
def locked(directory: Path) -> Iterator[None]:
    """Hold the lock of a run's directory; raises UserError if another process holds it.

    The operating system releases the lock when the process ends, however it ends.
    """
    path = directory / LOCK
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(
                f"Another process writes this run: {holder(directory)}.",
                value=str(directory),
                remedy="wait until it has ended, or stop it",
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}, since {now()}\n")
        file.flush()
        yield


def is_locked(directory: Path) -> bool:
    """Return True while a process holds the lock of this directory."""
    try:
        with (directory / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def holder(directory: Path) -> str:
    """Return what the lock of a directory says about the process that took it last."""
    text = (directory / LOCK).read_text(encoding="utf-8").strip()
    return text or "unknown, its lock file is empty"


@contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Wait until no other process holds the lock of this file, then hold it."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
