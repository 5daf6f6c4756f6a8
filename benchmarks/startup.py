"""Measure the time until training begins.

    python benchmarks/startup.py

Measures a command that trains for one update, from its start to its end, and a sweep of 480 runs, from its start until
the first run has written metrics. Prints a table of medians and writes results/startup.json.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tables import ENVIRONMENTS, save, startup_table

REPOSITORY = Path(__file__).resolve().parent.parent
REPEATS = 5
ONE_UPDATE = ("algo.n_envs=8", "algo.n_steps=5", "total_steps=40")
SWEEP = (
    "-m", "env=lunarlander", "arch=separate,shared", "optim=single,dual", "normalizer=none,running",
    "reward_normalizer=none,return_std", "clip.max_norm=0.1,0.5,5", "seed=range(10)", "log.every=1000",
)  # fmt: skip


def command(folder: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start acexp in `folder`, in its own process group."""
    return subprocess.Popen(
        [sys.executable, "-m", "acexp", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def one_update(environment: str) -> float:
    """Return the seconds of a command that trains for one update, from its start to its end."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        assert command(folder, f"env={environment}", *ONE_UPDATE).wait() == 0
        return time.perf_counter() - start


def sweep() -> float:
    """Return the seconds until the first of 480 runs has metrics; then the sweep is killed."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        process = command(folder, *SWEEP)
        while not any(path.stat().st_size for path in Path(folder).glob("outputs/sweeps/*/*/metrics.jsonl")):
            assert process.poll() is None
            time.sleep(0.05)
        seconds = time.perf_counter() - start
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return seconds


def main() -> None:
    """Measure all commands in alternation, print the table and save the figures."""
    found: dict[str, list[float]] = {}
    for _ in range(REPEATS):
        for environment in ENVIRONMENTS:
            found.setdefault(f"one update of {environment}, the whole command", []).append(one_update(environment))
        found.setdefault("480 runs, until the first metrics", []).append(sweep())
    print(startup_table(found))  # noqa: T201
    save("startup", found)


if __name__ == "__main__":
    main()
