"""Compare training throughput with that of Stable-Baselines3's A2C, for the same work, in alternation.

    python benchmarks/throughput.py                       all of it, about 40 minutes; writes results/throughput.json
    python benchmarks/throughput.py --only halfcheetah                leaves the other environments' figures as they are

Same work: 8 environments x 5 steps (Pong: 16 x 5), two tanh layers of 64 units for actor and critic apart (Pong: the
Nature CNN with one trunk), RMSprop, one gradient step per rollout, constant rates. Each figure is measured in new
processes, which train for some seconds after a start that is not counted. The kinds of work alternate, and medians with
the smallest and the largest figure are printed. Stable-Baselines3 steps all environments through Gymnasium. acexp steps
LunarLander with envpool and, as `lunarlander-gymnasium`, with Gymnasium, as an installation without envpool does.
The simulator alone is the limit of all training: MuJoCo's batch, ALE's vector environment, envpool, or Box2D in a loop.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tables import SIMULATOR, WORK, Measurement, save, throughput_tables

WORKER = Path(__file__).with_name("workload.py")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of work that is measured: the arguments of the worker, and the number of workers that run at once."""

    name: str
    arguments: tuple[str, ...]
    n_processes: int = 1


def kinds(environment: str, cores: int) -> Iterator[Kind]:
    """Yield the kinds of work that are compared on one environment, whose name may end in an engine."""
    n_envs = 16 if environment == "pong" else 8
    yield Kind("raw engine", ("engine", environment, str(n_envs), str(cores)))
    yield Kind("acexp, one run", ("acexp", environment, "1", str(cores)))
    yield Kind("SB3, one run", ("sb3", environment, "1", str(cores)))
    yield Kind("acexp, 8 runs", ("acexp", environment, str(-(-8 // cores)), "1"), cores)
    yield Kind("acexp, 16 runs", ("acexp", environment, str(-(-16 // cores)), "1"), cores)
    yield Kind("acexp, 16 runs in one process", ("acexp", environment, "16", str(cores)))
    yield Kind(f"SB3, {cores} processes", ("sb3", environment, "1", "1"), cores)
    if environment == "lunarlander-gymnasium":
        yield Kind(SIMULATOR, ("simulator", environment, str(16 * n_envs // cores), "1"), cores)
    elif environment != "cliffwalking":
        yield Kind(SIMULATOR, ("simulator", environment, str(16 * n_envs), str(cores)))


def measure(kind: Kind, seconds: float) -> tuple[float, float]:
    """Run a kind's processes side by side; return their env steps per second and the memory of the largest in MB."""
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
    """Measure every kind of work on one environment, in alternation."""
    found: dict[str, list[tuple[float, float]]] = {}
    chosen = list(kinds(environment, cores))
    for _ in range(repeats):
        for kind in chosen:
            found.setdefault(kind.name, []).append(measure(kind, seconds))
    return {
        name: Measurement([rate for rate, _ in pairs], max(memory for _, memory in pairs))
        for name, pairs in found.items()
    }


def main() -> None:
    """Measure, print the tables and save the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=WORK, help="may be given again")
    parser.add_argument("--seconds", type=float, default=8.0, help="seconds of each measurement")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    results = {
        environment: benchmark(environment, options.seconds, options.repeats, cores)
        for environment in options.only or WORK
    }
    print(throughput_tables(results, cores))  # noqa: T201
    save("throughput", {name: {k: m._asdict() for k, m in found.items()} for name, found in results.items()})


if __name__ == "__main__":
    main()
