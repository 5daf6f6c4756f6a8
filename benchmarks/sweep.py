"""Measure whole sweeps of HalfCheetah, as a user starts them: their time, and the memory of all their processes.

    python benchmarks/sweep.py                 about 20 minutes on two cores; writes results/sweep.json
    python benchmarks/sweep.py --steps 100000

Ten runs of a million steps with the preset, from the start of the command to its end; and 16 runs of a tenth of that.
The memory is the largest sum over all processes of the command, of which each counts its share of what several have
(PSS); it is looked at twice a second.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tables import save, sweep_table

REPOSITORY = Path(__file__).resolve().parent.parent
REPEATS = 3
LOOK_SECONDS = 0.5


def measure(n_runs: int, steps: int) -> tuple[float, float]:
    """Train `n_runs` runs; return the seconds of the command, and the memory in MB of all its processes."""
    with tempfile.TemporaryDirectory() as folder:
        start, largest = time.perf_counter(), 0.0
        process = subprocess.Popen(
            [sys.executable, "-m", "acexp", "-m", "env=halfcheetah", f"seed=range({n_runs})", f"total_steps={steps}"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while process.poll() is None:
            largest = max(largest, _megabytes(process.pid))
            time.sleep(LOOK_SECONDS)
        assert process.returncode == 0
        return time.perf_counter() - start, largest


def _megabytes(session: int) -> float:
    """Return the memory of all processes of a session."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(process.name)) == session:
                lines = (process / "smaps_rollup").read_text().splitlines()
                total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue  # It has ended.
    return total / 1024


def main() -> None:
    """Measure, print the table and save the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    options = parser.parse_args()
    kinds: dict[tuple[int, int], list[tuple[float, float]]] = {(10, options.steps): [], (16, options.steps // 10): []}
    for _ in range(options.repeats):
        for (n_runs, steps), found in kinds.items():
            found.append(measure(n_runs, steps))
    figures = {
        f"{n_runs} runs of {steps:,} steps": {"seconds": [s for s, _ in found], "MB": max(mb for _, mb in found)}
        for (n_runs, steps), found in kinds.items()
    }
    print(sweep_table(figures))  # noqa: T201
    save("sweep", figures)


if __name__ == "__main__":
    main()
