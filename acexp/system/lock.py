"""Locks that keep two processes from writing the same directory; docs/decisions/0012 gives the reasons for them."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from acexp.core.errors import UserError
from acexp.system.files import now

try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

    _BYTE = 1 << 30
    """The byte that is locked, far behind the text: on Windows no other process can read a byte that is locked."""

    def _lock(file: FileIO, *, shared: bool = False) -> bool:
        """Lock an open file, unless another process has; raises OSError where there are no locks.

        Windows offers Python no shared locks, so two processes that look at a lock at the same time see each other.
        """
        os.lseek(file.fileno(), _BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except PermissionError:
            return False
        return True

    def _unlock(file: FileIO) -> None:
        """Release the lock of an open file."""
        os.lseek(file.fileno(), _BYTE, os.SEEK_SET)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined]

else:

    def _lock(file: FileIO, *, shared: bool = False) -> bool:
        """Lock an open file, unless another process has; raises OSError where there are no locks.

        `shared` locks exclude exclusive ones, but not each other.
        """
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def _unlock(file: FileIO) -> None:
        """Release the lock of an open file."""
        fcntl.flock(file, fcntl.LOCK_UN)


LOCK = ".lock"
POLL_SECONDS = 0.02


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the lock of a run's directory; raises UserError if another process holds it.

    The operating system releases the lock when the process ends, however it ends.
    """
    with FileIO(directory / LOCK, "a+") as file:
        try:
            is_mine = _lock(file)
        except OSError as error:
            raise UserError(
                f"The lock of this run's directory cannot be taken: {error.strerror or error}.",
                value=str(directory),
                remedy="train on a file system that has locks; Lustre has them when it is mounted with `flock`",
            ) from error
        if not is_mine:
            raise UserError(
                f"Another process writes this run: {holder(directory)}.",
                value=str(directory),
                remedy="wait until it has ended, or stop it",
            )
        try:
            file.truncate(0)
            file.write(f"process {os.getpid()} on {platform.node()}, since {now()}\n".encode())
            yield
        finally:
            _unlock(file)


def is_locked(directory: Path) -> bool:
    """Return True while a process holds the lock of this directory."""
    try:
        with FileIO(directory / LOCK, "r") as file:
            is_free = _lock(file, shared=True)
            if is_free:
                _unlock(file)
            return not is_free
    except OSError:
        return False


def holder(directory: Path) -> str:
    """Return what the lock of a directory says about the process that took it last."""
    text = (directory / LOCK).read_text(encoding="utf-8").strip()
    return text or "unknown, its lock file is empty"


@contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Wait until no other process holds the lock of this file, then hold it."""
    with FileIO(path, "a") as file:
        while not _lock(file):
            time.sleep(POLL_SECONDS)
        try:
            yield
        finally:
            _unlock(file)
