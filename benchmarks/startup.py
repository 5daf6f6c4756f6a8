"""Measure the time until a command answers, and until training begins.

    python benchmarks/startup.py

Measures commands that train nothing, from start to end; the first word that a training shows on a terminal; a command
that trains for one update, from its start to its end; and a sweep of 480 runs, from its start until the first run has
written metrics. Prints a table of medians and writes results/startup.json.
"""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tables import ENVIRONMENTS, save, startup_table

REPOSITORY = Path(__file__).resolve().parent.parent
REPEATS = 7
ONE_UPDATE = ("algo.n_envs=8", "algo.n_steps=5", "total_steps=40")
TRAINING = ("env=halfcheetah", *ONE_UPDATE)
NO_TRAINING = (("--version",), ("--help",), ("list",), ("list", "env"), ("status",))
SWEEP = (
    "-m", "env=lunarlander", "arch=separate,shared", "optim=single,dual", "normalizer=none,running",
    "reward_normalizer=none,return_std", "clip.max_norm=0.1,0.5,5", "seed=range(10)", "log.every=1000",
)  # fmt: skip


def command(folder: str, arguments: Sequence[str], output: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """Start acexp in `folder`, in its own process group; all that it prints goes to `output`."""
    return subprocess.Popen(
        [sys.executable, "-m", "acexp", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


def whole(folder: str, *arguments: str) -> float:
    """Return the seconds of a command in a folder, from its start to its end."""
    start = time.perf_counter()
    assert command(folder, arguments).wait() == 0
    return time.perf_counter() - start


def one_update(environment: str) -> float:
    """Return the seconds of a command that trains for one update, from its start to its end."""
    with tempfile.TemporaryDirectory() as folder:
        return whole(folder, f"env={environment}", *ONE_UPDATE)


def first_word() -> float:
    """Return the seconds until a training shows anything on a terminal; then it is killed."""
    ours, theirs = pty.openpty()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        process = command(folder, TRAINING, theirs)
        os.read(ours, 1)
        seconds = time.perf_counter() - start
        _kill(process)
    os.close(theirs)
    os.close(ours)
    return seconds


def sweep() -> float:
    """Return the seconds until the first of 480 runs has metrics; then the sweep is killed."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        process = command(folder, SWEEP)
        while not any(path.stat().st_size for path in Path(folder).glob("outputs/sweeps/*/*/metrics.jsonl")):
            assert process.poll() is None
            time.sleep(0.05)
        seconds = time.perf_counter() - start
        _kill(process)
        return seconds


def _kill(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def main() -> None:
    """Measure all commands in alternation, print the table and save the figures."""
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        whole(folder, *TRAINING)  # `status` has a run to show
        for _ in range(REPEATS):
            for arguments in NO_TRAINING:
                found.setdefault(f"acexp {' '.join(arguments)}", []).append(whole(folder, *arguments))
            found.setdefault("the first word of a training on a terminal", []).append(first_word())
            for environment in ENVIRONMENTS:
                found.setdefault(f"one update of {environment}, the whole command", []).append(one_update(environment))
            found.setdefault("480 runs, until the first metrics", []).append(sweep())
    print(startup_table(found))  # noqa: T201
    save("startup", found)


if __name__ == "__main__":
    main()
