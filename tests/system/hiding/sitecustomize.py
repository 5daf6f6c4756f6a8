"""Takes from a new interpreter what Linux has and Windows lacks. Python imports this module at its start.

Python's own modules and other packages keep `fcntl` and the like, since their code for Windows is another one.
"""

import builtins
import fcntl
import multiprocessing
import multiprocessing.context
import os
import signal
import types
from typing import Any

HIDDEN_MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "termios"}
HIDDEN = {
    os: ("O_DIRECTORY", "fork", "forkpty", "sched_getaffinity"),
    signal: ("SIGHUP", "SIGUSR1", "SIGUSR2", "pthread_sigmask"),
    multiprocessing.context: ("ForkContext", "ForkServerContext"),
}
LONGEST_TEXT = 4096

_held: dict[int, int] = {}
_import = builtins.__import__


def _locking(descriptor: int, mode: int, n_bytes: int) -> None:
    """Do what msvcrt.locking does, whose locks are those of one open file and are released by name."""
    if os.lseek(descriptor, 0, os.SEEK_CUR) < LONGEST_TEXT:
        raise OSError("On Windows no other process could read the text of this lock")
    if mode == msvcrt.LK_UNLCK:
        os.close(_held.pop(descriptor))
        return
    own = os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR)
    try:
        fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(own)
        raise PermissionError(13, "Permission denied") from None
    _held[descriptor] = own


msvcrt: Any = types.ModuleType("msvcrt")
msvcrt.LK_UNLCK, msvcrt.LK_NBLCK, msvcrt.locking = 0, 2, _locking


def _import_as_on_windows(name: str, *arguments: Any, **named: Any) -> types.ModuleType:
    scope = arguments[0] if arguments else named.get("globals")
    importer = str((scope or {}).get("__name__")).partition(".")[0]
    if importer in ("acexp", "hydra_plugins"):
        if name in HIDDEN_MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        if name == "msvcrt":
            return msvcrt
    return _import(name, *arguments, **named)


for module, names in HIDDEN.items():
    for hidden in names:
        delattr(module, hidden)
builtins.__import__ = _import_as_on_windows  # type: ignore[assignment]
spawn = multiprocessing.get_context("spawn")
multiprocessing.context._concrete_contexts = {"spawn": spawn}  # type: ignore[attr-defined]
multiprocessing.context._default_context._default_context = spawn  # type: ignore[attr-defined]
multiprocessing.get_all_start_methods = lambda: ["spawn"]
