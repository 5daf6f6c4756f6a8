"""Compare the engines `processes` and `gymnasium` on environments of which a step takes 5 ms.

    python benchmarks/slow.py

Each run trains with 8 environments by A2C's defaults, in a command of its own; the engines take turns. Its rate is the
one that it reports itself, without its start. Prints a table and writes results/slow.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tables import save, slow_table

FOLDER = Path(__file__).resolve().parent
REPEATS = 5
MILLISECONDS = 5
KINDS = {"waiting": "false", "computing": "true"}
"""What a step does, and the argument of the environment that says so."""


def rate(engine: str, computes: str) -> float:
    """Return the env steps per second of one run."""
    chosen = ["env=gym", "env.id=slow_environment:Slow-v0", f"+env.kwargs.milliseconds={MILLISECONDS}"]
    chosen += [f"+env.kwargs.computes={computes}", f"engine={engine}", "algo.n_envs=8", "total_steps=2000"]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "acexp", *chosen, "name=slow"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": f"{FOLDER.parent}:{FOLDER}"},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        (summary,) = Path(folder).glob("outputs/*/slow/summary.json")
        return float(json.loads(summary.read_text())["steps_per_second"])


def main() -> None:
    """Measure both engines in alternation, print the table and save the figures."""
    found: dict[str, dict[str, list[float]]] = {kind: {"gymnasium": [], "processes": []} for kind in KINDS}
    for _ in range(REPEATS):
        for kind, computes in KINDS.items():
            for engine, rates in found[kind].items():
                rates.append(rate(engine, computes))
    print(slow_table(found))  # noqa: T201
    save("slow", found)


if __name__ == "__main__":
    main()
