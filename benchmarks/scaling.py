"""Measure how the cost of training grows with members, environments and width, and the share of each part of a step.

    python benchmarks/scaling.py

HalfCheetah in one process with one thread, 5 steps a rollout, otherwise as in throughput.py. Sizes alternate, and
results are medians. Prints tables and writes results/scaling.json.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

from tables import ENVIRONMENTS, save, table
from workload import Training

SECONDS = 2.0
REPEATS = 3
AXES: dict[str, tuple[list[int], Callable[[int], tuple[int, Sequence[str]]]]] = {
    "members": ([1, 2, 4, 8, 16, 32, 64], lambda n: (n, ())),
    "environments": ([1, 4, 16, 64, 256], lambda n: (1, (f"algo.n_envs={n}",))),
    "width": ([16, 64, 256, 512], lambda n: (1, (f"arch.hidden_sizes=[{n},{n}]",))),
}


def measure(n_members: int, changes: Sequence[str], environment: str = "halfcheetah") -> tuple[float, dict[str, float]]:
    """Return the env steps per second, and the share of each part in the time."""
    training = Training(environment, n_members, 1, changes)
    for _ in range(10):
        training()
    before = dict(training.seconds)
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        done += training()
    seconds = time.perf_counter() - start
    training.close()
    return done / seconds, {part: (spent - before[part]) / seconds for part, spent in training.seconds.items()}


def growth() -> dict[str, dict[int, float]]:
    """Return the median env steps per second for each size on each axis."""
    rates: dict[str, dict[int, list[float]]] = {axis: {size: [] for size in sizes} for axis, (sizes, _) in AXES.items()}
    for _ in range(REPEATS):
        for axis, (sizes, settings) in AXES.items():
            for size in sizes:
                rates[axis][size].append(measure(*settings(size))[0])
    return {axis: {size: statistics.median(found) for size, found in by.items()} for axis, by in rates.items()}


def shares() -> dict[str, dict[str, float]]:
    """Return the share of each part in the time, on every environment, for one run and for sixteen."""
    found = {}
    for environment in ENVIRONMENTS:
        for n_members in (1, 16) if environment != "pong" else (1,):
            name = f"{environment}, {n_members} run{'s' if n_members > 1 else ''}"
            found[name] = measure(n_members, (), environment)[1]
    return found


def report(rates: dict[str, dict[int, float]], parts: dict[str, dict[str, float]]) -> str:
    """Return the tables in Markdown."""
    sizes = [
        table(axis, [str(size) for size in by], {"env steps per second": [f"{rate:,.0f}" for rate in by.values()]})
        for axis, by in rates.items()
    ]
    names = list(next(iter(parts.values())))
    shown = {work: [f"{share:.0%}" for share in by.values()] for work, by in parts.items()}
    return "\n\n".join((*sizes, table("share of the time", names, shown)))


def main() -> None:
    """Measure, print the tables and save the figures."""
    rates, parts = growth(), shares()
    print(report(rates, parts))  # noqa: T201
    save("scaling", {"rates": rates, "shares": parts})


if __name__ == "__main__":
    main()
