"""Runs `acexp` commands in processes of their own without importing torch anew for each of them.

A server process imports acexp once and forks for every command. The child is a real process: it has its own working
directory, environment, standard streams, signals and exit code, and nothing that it does reaches the next command.
Only the imports are shared, which take three to five seconds of a command that would otherwise take one. The server
from which a sweep forks its workers would import acexp once more, so it is forked from the command instead.
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
import time
import traceback
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from acexp.commands import COMMANDS

REPOSITORY = Path(__file__).resolve().parent.parent
PRELOADED = (
    *(f"acexp.commands.{command.module}" for command in COMMANDS.values()),
    "acexp.report",
    "gymnasium.envs.toy_text.cliffwalking",
    "gymnasium.envs.mujoco.half_cheetah_v5",
    "gymnasium.wrappers",
    "tensorboard.program",
    "torch.utils.tensorboard",
)


class Command:
    """A command that runs, with what it prints in one pipe: what tests use of `subprocess.Popen`."""

    def __init__(self, server: CommandServer, pid: int, printed: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._server, self._printed = server, printed

    def poll(self) -> int | None:
        """Return the exit code, None while the command runs."""
        if self.returncode is None:
            code = self._server.ask({"poll": self.pid})
            self.returncode = int(code) if code else None
        return self.returncode

    def communicate(self, timeout: float = 300) -> tuple[str, None]:
        """Read until the command and all its children have closed the pipe, and wait for its end."""
        deadline, chunks = time.monotonic() + timeout, []
        while True:
            ready, _, _ = select.select([self._printed], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise subprocess.TimeoutExpired("acexp", timeout, b"".join(chunks))
            chunk = os.read(self._printed, 65536)
            if not chunk:
                break
            chunks.append(chunk)
        os.close(self._printed)
        self.wait(max(1.0, deadline - time.monotonic()))
        return b"".join(chunks).decode(errors="replace"), None

    def wait(self, timeout: float = 300) -> int:
        """Wait for the command's end, and return its exit code."""
        if self.returncode is None:
            self.returncode = int(self._server.ask({"wait": self.pid}, timeout))
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal to the command, not to its children."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End the command at once."""
        self.send_signal(signal.SIGKILL)


class CommandServer:
    """The client of one server process, which starts with the first command."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(
        self, arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as `subprocess.run` does, with its output captured as text."""
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            pid = self._begin(arguments, cwd, environment, out=str(out), err=str(err))
            try:
                code = int(self.ask({"wait": pid}, timeout))
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                self.close()
                raise
            texts = [path.read_text(errors="replace") for path in (out, err)]
        return subprocess.CompletedProcess(["acexp", *arguments], code, *texts)

    def start(
        self, arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], *, group: bool = False
    ) -> Command:
        """Start a command as `subprocess.Popen` does; with `group` in a process group of its own."""
        with tempfile.TemporaryDirectory() as folder:
            pipe = Path(folder, "pipe")
            os.mkfifo(pipe)
            printed = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
            pid = self._begin(arguments, cwd, environment, out=str(pipe), err=str(pipe), group=group)
        return Command(self, pid, printed)

    def start_in_terminal(
        self, arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], terminal: int
    ) -> int:
        """Start a command that reads from a terminal and prints to it, and return its process id."""
        name = os.ttyname(terminal)
        return self._begin(arguments, cwd, environment, read=name, out=name, err=name)

    def ask(self, request: dict[str, Any], timeout: float = 120) -> str:
        """Return the server's answer to a request; raises subprocess.TimeoutExpired without one."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.command_server"],
                cwd=REPOSITORY,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        ready, _, _ = select.select([self._process.stdout], [], [], timeout)
        if not ready:
            raise subprocess.TimeoutExpired(str(request), timeout)
        return self._process.stdout.readline().strip()

    def _begin(self, arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], **where: object) -> int:
        return int(self.ask({"arguments": arguments, "cwd": str(cwd), "environment": environment, **where}))

    def close(self) -> None:
        """End the server."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


SERVER = CommandServer()
"""The server of this process of pytest, which ends with it."""
atexit.register(SERVER.close)


def _serve() -> None:
    """Fork for each request on standard input, until it is closed."""
    for name in PRELOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            _answer(os.waitstatus_to_exitcode(status))
        elif "poll" in request:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            _answer(os.waitstatus_to_exitcode(status) if pid else "")
        else:
            _answer(_fork(request))


def _fork(request: dict[str, Any]) -> int:
    """Fork the command, and return its process id."""
    # Opened before the fork, so that a pipe has a writer as soon as its reader knows the process.
    streams = [os.open(request.get("read", os.devnull), os.O_RDONLY | os.O_NOCTTY)]
    streams += [os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_NOCTTY) for name in ("out", "err")]
    pid = os.fork()
    if not pid:
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
    for descriptor in streams:
        os.close(descriptor)
    if not pid:
        _run(request)
    return pid


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


def _answer(content: object) -> None:
    sys.stdout.write(f"{content}\n")
    sys.stdout.flush()


def _run(request: dict[str, Any]) -> None:
    """Be the command: replace what belongs to the server, run it, and end as Python ends a module run with -m."""
    if request.get("group"):
        os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
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
