"""Predict how long a sweep takes on more cores than this machine has, from the cost of an update on this machine.

    python benchmarks/scale.py             measures, and checks the predictions for this machine with real sweeps

An update of a population of m members takes `fixed + each * m` seconds on a core; both come from a line through
measured sizes. The one process that hands out runs needs `composing` seconds for each of them; a population begins to
train after `starting` seconds. Populations are divided as the launcher divides them, and each core takes the longest
that is left. Prints tables and writes results/scale.json.
"""

from __future__ import annotations

import argparse
import heapq
import math
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scaling import measure
from tables import save, table
from workload import overrides

from acexp.system.cores import available_cores

ENVIRONMENTS = ("cliffwalking", "lunarlander", "halfcheetah")
SIZES = (1, 4, 16)
MAX_MEMBERS = 16
STEPS_PER_UPDATE = 40
CORES = (2, 10, 100, 1_000, 10_000)
REPEATS = 3
CHECKED_RUNS, CHECKED_STEPS = 32, 60_000
SWEEPS = (480, 48_000)
"""The numbers of runs in predicted sweeps: an ablation over seeds, and a sweep of an extreme size."""

STEPS = 1_000_000


@dataclass(frozen=True, slots=True)
class Costs:
    """The costs of one environment, in seconds.

    Attributes:
        fixed, each: the time of an update, the part that does not depend on its size and the part of each member.
        composing: the time for each run in the one process that hands them out.
        starting: the time until a population begins to train.
        engine: the share of an update of sixteen members that steps environments.
    """

    fixed: float
    each: float
    composing: float
    starting: float
    engine: float

    def of_population(self, n_members: int, steps: int) -> float:
        """Return the seconds of a population from its start to its end."""
        return self.starting + math.ceil(steps / STEPS_PER_UPDATE) * (self.fixed + self.each * n_members)


def populations(n_runs: int, cores: int) -> list[int]:
    """Return the number of members of each population, as `fleet.divide` makes them."""
    at_most = max(1, min(MAX_MEMBERS, math.ceil(n_runs / cores)))
    n = math.ceil(n_runs / at_most)
    return sorted((n_runs * (k + 1) // n - n_runs * k // n for k in range(n)), reverse=True)


def predicted(costs: Costs, n_runs: int, steps: int, cores: int) -> tuple[float, float]:
    """Return the seconds until the last run is done, and the share of the cores' time that is used."""
    free = [costs.composing * n_runs] * cores
    work = [costs.of_population(size, steps) for size in populations(n_runs, cores)]
    for seconds in work:
        heapq.heapreplace(free, free[0] + seconds)
    end = max(free)
    return end, sum(work) / (end * cores)


def sweep(environment: str, n_runs: int, steps: int, *launcher: str) -> float:
    """Return the seconds that a real sweep takes on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "acexp", "-m", *overrides(environment), f"seed=range({n_runs})",
             f"total_steps={steps}", *launcher],
            cwd=folder, check=True, capture_output=True,
        )  # fmt: skip
        return time.perf_counter() - begun


def costs_of(environment: str) -> Costs:
    """Measure the costs of an environment.

    Sizes alternate and medians are taken. Every core runs a process, as in a sweep, because processes share memory.
    """
    cores = available_cores()
    seconds: dict[int, list[float]] = {size: [] for size in SIZES}
    engine = []
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        for _ in range(REPEATS):
            for size in SIZES:
                found = pool.starmap(measure, [(size, (), environment)] * cores, chunksize=1)
                seconds[size] += [STEPS_PER_UPDATE * size / rate for rate, _ in found]
            engine += [shares["engine"] for _, shares in found]
    each, fixed = np.polyfit(SIZES, [statistics.median(seconds[size]) for size in SIZES], 1)
    few, many = (sweep(environment, n, STEPS_PER_UPDATE) for n in (cores, 32 * cores))
    composing = max(0.0, (many - few) / (31 * cores))
    return Costs(float(fixed), float(each), composing, max(0.0, few - composing * cores), statistics.median(engine))


def starts() -> dict[str, list[float]]:
    """Return the seconds of sweeps with one run per core that train for one update: everything but training."""
    launchers = {"processes here": (), "Ray, started here": ("hydra.launcher.executor=ray",)}
    found: dict[str, list[float]] = {name: [] for name in launchers}
    for _ in range(REPEATS):
        for name, launcher in launchers.items():
            found[name].append(sweep("cliffwalking", available_cores(), STEPS_PER_UPDATE, *launcher))
    return found


def report(
    costs: Mapping[str, Costs],
    checks: Mapping[str, Sequence[float]],
    started: Mapping[str, Sequence[float]],
    cores: int,
) -> str:
    """Return the tables in Markdown; `cores`: the number of cores of the machine that was measured."""
    measured = {
        name: [
            f"{1e3 * c.fixed:.2f}",
            f"{1e3 * c.each:.3f}",
            f"{1e3 * c.composing:.0f}",
            f"{c.starting:.1f}",
            f"{c.engine:.0%}",
            f"{1 / c.engine:.1f}",
        ]
        for name, c in costs.items()
    }
    checked = {
        name: [f"{predicted(costs[name], CHECKED_RUNS, CHECKED_STEPS, cores)[0]:.0f}", _spread(found)]
        for name, found in checks.items()
    }
    columns = [
        "update, ms", "each member, ms", "handing out a run, ms", "starting, s", "engine's share",
        "largest speed-up if only the engine took time",
    ]  # fmt: skip
    tables = [
        table("costs", columns, measured),
        table(f"{CHECKED_RUNS} runs of {CHECKED_STEPS:,} steps here, s", ["predicted", "measured"], checked),
        table(
            f"{cores} runs of one update, s", ["measured"], {name: [_spread(found)] for name, found in started.items()}
        ),
    ]
    for n_runs in SWEEPS:
        planned = {name: [_planned(predicted(c, n_runs, STEPS, n)) for n in CORES] for name, c in costs.items()}
        tables.append(table(f"{n_runs:,} runs of {STEPS:,} steps", [f"{n:,} cores" for n in CORES], planned))
    return "\n\n".join(tables)


def _spread(found: Sequence[float]) -> str:
    return f"{statistics.median(found):.0f} ({min(found):.0f} to {max(found):.0f})"


def _planned(prediction: tuple[float, float]) -> str:
    seconds, used = prediction
    return f"{seconds / 3600:.1f} h, {used:.0%}" if seconds >= 3600 else f"{seconds / 60:.1f} min, {used:.0%}"


def main() -> None:
    """Measure, check the predictions, print the tables and save the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=ENVIRONMENTS, nargs="+", default=ENVIRONMENTS)
    names = parser.parse_args().only
    started = starts()
    costs = {name: costs_of(name) for name in names}
    checks = {name: [sweep(name, CHECKED_RUNS, CHECKED_STEPS) for _ in range(REPEATS)] for name in names}
    print(report(costs, checks, started, available_cores()))  # noqa: T201
    save("scale", {"costs": {name: asdict(c) for name, c in costs.items()}, "checks": checks, "started": started})


if __name__ == "__main__":
    main()
