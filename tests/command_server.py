"""Runs `acexp` commands in processes of their own without importing torch anew for each of them.

A server process imports acexp once and forks for every command. The child is a real process: it has its own working
directory, environment, standard streams, signals and exit code, and nothing that it does reaches the next command.
Only the imports are shared, which take three to five seconds of a command that would otherwise take one. The server
from which a sweep forks its workers would import acexp once more, so it is forked from the command instead.
Tests that send signals to a command, or kill it, start a new interpreter (tests/helpers.py:start).
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import multiprocessing.util
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
PRELOADED = (
    "acexp.commands",
    "acexp.commands.resume",
    "acexp.report",
    "gymnasium.envs.toy_text.cliffwalking",
    "gymnasium.envs.mujoco.half_cheetah_v5",
    "gymnasium.wrappers",
    "tensorboard.program",
    "torch.utils.tensorboard",
)


class CommandServer:
    """The client of one server process, which starts with the first command."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(
        self, arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as `subprocess.run` does, with its output captured as text."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.command_server"],
                cwd=REPOSITORY,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            )
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            request = {"arguments": arguments, "cwd": str(cwd), "environment": environment}
            pid = int(self._ask({**request, "out": str(out), "err": str(err)}, timeout=120))
            try:
                code = int(self._ask({"wait": pid}, timeout))
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                self.close()
                raise
            texts = [path.read_text(errors="replace") for path in (out, err)]
        return subprocess.CompletedProcess(["acexp", *arguments], code, *texts)

    def _ask(self, request: dict[str, Any], timeout: float) -> str:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        ready, _, _ = select.select([self._process.stdout], [], [], timeout)
        if not ready:
            raise subprocess.TimeoutExpired(str(request), timeout)
        return self._process.stdout.readline()

    def close(self) -> None:
        """End the server."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _serve() -> None:
    """Fork for each request on standard input, until it is closed."""
    for name in PRELOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            _answer(os.waitstatus_to_exitcode(status))
            continue
        pid = os.fork()
        if not pid:
            _run(request)
        _answer(pid)


def _fork_python(path: bytes, arguments: list[str], descriptors: list[int]) -> int:
    """Do what multiprocessing's function of that name does for `python ... -c CODE`: run the code in a new process."""
    pid = os.fork()
    if pid:
        return pid
    try:
        kept = {0, 1, 2, *descriptors}
        for descriptor in {int(path.name) for path in Path("/proc/self/fd").iterdir()} - kept:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        sys.argv = ["-c"]
        forkserver._forkserver._lock = threading.Lock()  # the copy of one that is held during this call
        exec(arguments[-1], {"__name__": "__main__"})
    except SystemExit as end:
        os._exit(int(end.code or 0))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _answer(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _run(request: dict[str, Any]) -> None:
    """Be the command: replace what belongs to the server, run it, and end as Python ends a module run with -m."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number, name, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, request["out"], os.O_WRONLY | os.O_CREAT),
        (2, request["err"], os.O_WRONLY | os.O_CREAT),
    ):
        descriptor = os.open(name, flags)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
    sys.argv = [str(REPOSITORY / "acexp" / "__main__.py"), *request["arguments"]]
    sys.path[:] = [request["cwd"], *(path for path in sys.path if path not in ("", str(REPOSITORY))), str(REPOSITORY)]
    multiprocessing.util.spawnv_passfds = _fork_python  # type: ignore[attr-defined]
    code: object = 1
    try:
        from acexp.__main__ import main

        sys.exit(main())
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            sys.stderr.write(f"{code}\n")
            code = 1
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(Exception):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(int(code or 0))  # type: ignore[call-overload]


if __name__ == "__main__":
    _serve()
