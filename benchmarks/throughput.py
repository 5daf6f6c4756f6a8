"""Training throughput against Stable-Baselines3's A2C, at the same work, taking turns.

    python benchmarks/throughput.py                       all of it, about half an hour
    python benchmarks/throughput.py --only halfcheetah --seconds 2 --repeats 1

Same work: 8 environments x 5 steps (Pong: 16 x 5), two tanh layers of 64 units for actor and critic apart (Pong: the
Nature CNN with one trunk), RMSprop, one gradient step per rollout, constant rates. Each figure is taken in processes of
its own, which train for some seconds after a start that is not counted; the kinds take turns, and medians with the
smallest and the largest are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WORKER = Path(__file__).with_name("workload.py")


@dataclass(frozen=True, slots=True)
class Kind:
    """What is measured: arguments for the worker, and how many of them run at once."""

    name: str
    arguments: tuple[str, ...]
    n_processes: int = 1


@dataclass(frozen=True, slots=True)
class Measurement:
    """Env steps per second of all processes together, in each repeat, and the memory of the largest process in MB."""

    rates: tuple[float, ...]
    memory: float

    def __str__(self) -> str:
        return f"{statistics.median(self.rates):,.0f} ({min(self.rates):,.0f} to {max(self.rates):,.0f})"


ENVIRONMENTS = ("cliffwalking", "lunarlander", "halfcheetah", "pong")


def kinds(environment: str, cores: int) -> Iterator[Kind]:
    """What is compared on one environment."""
    n_envs = 16 if environment == "pong" else 8
    yield Kind("raw engine", ("engine", environment, str(n_envs), str(cores)))
    yield Kind("acexp, one run", ("acexp", environment, "1", str(cores)))
    yield Kind("SB3, one run", ("sb3", environment, "1", str(cores)))
    yield Kind("acexp, 8 runs", ("acexp", environment, str(-(-8 // cores)), "1"), cores)
    yield Kind("acexp, 16 runs", ("acexp", environment, str(-(-16 // cores)), "1"), cores)
    yield Kind(f"SB3, {cores} processes", ("sb3", environment, "1", "1"), cores)
    yield Kind("raw engine, 16 runs", ("engine", environment, str(16 * n_envs // cores), "1"), cores)


def measure(kind: Kind, seconds: float) -> tuple[float, float]:
    """Run a kind's processes side by side: steps per second together, and the largest one's memory."""
    command = [sys.executable, str(WORKER), *kind.arguments, "--seconds", str(seconds)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(kind.n_processes)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", kind
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    results = [json.loads(process.communicate()[0]) for process in processes]
    return sum(result["rate"] for result in results), max(result["memory"] for result in results)


def benchmark(environment: str, seconds: float, repeats: int, cores: int) -> dict[str, Measurement]:
    """Every kind, taking turns."""
    found: dict[str, list[tuple[float, float]]] = {}
    chosen = list(kinds(environment, cores))
    for _ in range(repeats):
        for kind in chosen:
            found.setdefault(kind.name, []).append(measure(kind, seconds))
    return {
        name: Measurement(tuple(rate for rate, _ in pairs), max(memory for _, memory in pairs))
        for name, pairs in found.items()
    }


def report(results: dict[str, dict[str, Measurement]], cores: int) -> str:
    """The tables of docs/performance.md."""
    names = list(dict.fromkeys(name for found in results.values() for name in found))
    lines = ["| env steps per second | " + " | ".join(results) + " |", "| --- |" + " ---: |" * len(results)]
    lines += [f"| {name} | " + " | ".join(str(found[name]) for found in results.values()) + " |" for name in names]
    ratios = (
        ("one run over SB3's", "acexp, one run", "SB3, one run"),
        (f"16 runs over SB3 in {cores} processes", "acexp, 16 runs", f"SB3, {cores} processes"),
        ("16 runs over the raw engine", "acexp, 16 runs", "raw engine, 16 runs"),
    )
    lines += ["", "| ratio of medians | " + " | ".join(results) + " |", "| --- |" + " ---: |" * len(results)]
    for title, above, below in ratios:
        cells = [
            f"{statistics.median(found[above].rates) / statistics.median(found[below].rates):.2f}"
            for found in results.values()
        ]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    memory = [f"{found['acexp, 16 runs'].memory:,.0f}" for found in results.values()]
    lines.append("| MB of one process of 16 runs | " + " | ".join(memory) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=ENVIRONMENTS, help="may be given again")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    results = {
        environment: benchmark(environment, options.seconds, options.repeats, cores)
        for environment in options.only or ENVIRONMENTS
    }
    print(report(results, cores))  # noqa: T201


if __name__ == "__main__":
    main()
