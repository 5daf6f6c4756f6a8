"""Measure what saving checkpoints costs a run.

    python benchmarks/checkpoints.py

Trains a little, saves ten times in between, and compares the time of a save with the default interval, for one run and
for a population. Writes results/checkpoints.json.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from pathlib import Path

from tables import checkpoint_table, save
from workload import Training

from acexp.config import CheckpointConfig
from acexp.runs.checkpointer import Checkpointer
from acexp.runs.run import Run

SAVES = 10
WORK = {
    "halfcheetah, 1 run": ("halfcheetah", 1),
    "halfcheetah, 8 runs": ("halfcheetah", 8),
    "lunarlander, 1 run": ("lunarlander", 1),
    "pong, 1 run": ("pong", 1),
    "pong, 8 runs": ("pong", 8),
}


def seconds_of_saves(environment: str, n_members: int) -> list[float]:
    """Return the seconds of each of ten saves, with training between them."""
    training = Training(environment, n_members, 1)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        runs = [Run(config, Path(folder, str(m))) for m, config in enumerate(training.configs)]
        for run in runs:
            run.directory.mkdir()
        checkpointer = Checkpointer(training.population, training.recorder, runs)
        for _ in range(SAVES):
            for _ in range(10):
                training()
            begun = time.perf_counter()
            checkpointer.save()
            found.append(time.perf_counter() - begun)
    training.close()
    return found


def main() -> None:
    """Measure the saves, print the table and save the figures."""
    warnings.simplefilter("ignore")
    minutes = CheckpointConfig().minutes
    assert minutes is not None
    figures = {name: {"seconds": seconds_of_saves(*work), "interval": 60.0 * minutes} for name, work in WORK.items()}
    print(checkpoint_table(figures))  # noqa: T201
    save("checkpoints", figures)


if __name__ == "__main__":
    main()
