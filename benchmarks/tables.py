"""Measured figures, as files in results/ and as tables in Markdown."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ENVIRONMENTS = ("cliffwalking", "lunarlander", "halfcheetah", "pong")
WORK = {
    "cliffwalking": "CliffWalking, tabular",
    "lunarlander": "LunarLander, envpool",
    "lunarlander-gymnasium": "LunarLander, gymnasium",
    "halfcheetah": "HalfCheetah, mujoco",
    "pong": "Pong, ale",
}
"""The titles of what is measured against Stable-Baselines3: an environment, and the engine that steps it for acexp.

A name without an engine is of the engine that `auto` selects where all extras are installed.
"""

SIMULATOR = "the simulator alone, for 16 runs"
"""The name of what limits all training: the simulator on all cores, without acexp."""

MISSING = "-"

RESULTS = Path(__file__).with_name("results")
PACKAGES = ("torch", "numpy", "gymnasium", "mujoco", "envpool", "ale-py", "stable-baselines3")

Throughput = Mapping[str, Mapping[str, "Measurement"]]
"""Measurements by name in WORK and kind of program."""


class Measurement(NamedTuple):
    """Env steps per second of all processes together, in each repeat, and the memory of the largest process in MB."""

    rates: Sequence[float]
    memory: float

    @property
    def median(self) -> float:
        """The median of the rates."""
        return statistics.median(self.rates)

    def __str__(self) -> str:
        return f"{self.median:,.0f} ({min(self.rates):,.0f} to {max(self.rates):,.0f})"


def machine() -> dict[str, Any]:
    """Return the processor and the package versions that figures are measured with."""
    info = Path("/proc/cpuinfo")
    models = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in PACKAGES},
    }


def save(name: str, figures: Mapping[str, Any]) -> None:
    """Write results/NAME.json; older figures of the same machine stay unless they were measured again."""
    RESULTS.mkdir(exist_ok=True)
    content = {"machine": machine(), "figures": dict(figures)}
    if (RESULTS / f"{name}.json").exists() and (before := load(name))["machine"] == content["machine"]:
        content["figures"] = before["figures"] | content["figures"]
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def load(name: str) -> dict[str, Any]:
    """Return the machine and the figures in results/NAME.json."""
    content: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return content


def load_throughput() -> tuple[dict[str, Any], Throughput]:
    """Return the machine, and the throughput of all work that has been measured, in the order of WORK."""
    content = load("throughput")
    measured = {work: content["figures"][work] for work in WORK if work in content["figures"]}
    results = {work: {kind: Measurement(**by) for kind, by in found.items()} for work, found in measured.items()}
    return content["machine"], results


def table(first: str, columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    """Return a Markdown table; the first column names the rows."""
    lines = [f"| {first} | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    lines += [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows.items()]
    return "\n".join(lines)


def throughput_tables(results: Throughput, cores: int) -> str:
    """Return a table of env steps per second and one of their ratios."""
    names = list(dict.fromkeys(name for found in results.values() for name in found))
    titles = [WORK[work] for work in results]
    rates = {name: [str(found.get(name, MISSING)) for found in results.values()] for name in names}
    pairs = {
        "one run over SB3's": ("acexp, one run", "SB3, one run"),
        f"16 runs over SB3 in {cores} processes": ("acexp, 16 runs", f"SB3, {cores} processes"),
        "16 runs over the simulator alone": ("acexp, 16 runs", SIMULATOR),
        f"16 runs in {cores} processes over one process": ("acexp, 16 runs", "acexp, 16 runs in one process"),
    }
    ratios = {
        title: [
            f"{found[above].median / found[below].median:.2f}" if below in found else MISSING
            for found in results.values()
        ]
        for title, (above, below) in pairs.items()
    }
    ratios["MB of one process of the 16 runs"] = [f"{by['acexp, 16 runs'].memory:,.0f}" for by in results.values()]
    return "\n\n".join((table("env steps per second", titles, rates), table("ratio of medians", titles, ratios)))


def startup_table(found: Mapping[str, Sequence[float]]) -> str:
    """Return a table of the seconds until a command answers, or until training begins."""
    return table("start-up", ["seconds"], {name: [_spread(seconds)] for name, seconds in found.items()})


def _seconds(duration: float) -> str:
    return f"{duration:.1f}" if duration >= 1.0 else f"{duration:.2f}"


def checkpoint_table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a table of the time of a save, and of its share of the time between two at the default interval."""
    rows = {}
    for name, by in found.items():
        seconds = by["seconds"]
        middle = statistics.median(seconds)
        spread = f"{middle * 1e3:,.0f} ({min(seconds) * 1e3:,.0f} to {max(seconds) * 1e3:,.0f})"
        rows[name] = [spread, f"{middle / by['interval']:.2%}"]
    return table("saving", ["milliseconds", "of the time, at the default interval"], rows)


def sweep_table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a table of the seconds of whole sweeps and of the memory of all their processes."""
    rows = {name: [_spread(by["seconds"]), f"{by['MB']:,.0f}"] for name, by in found.items()}
    return table("the whole command, HalfCheetah", ["seconds", "MB in all"], rows)


def report_table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a table of the seconds of `acexp report` and of the size of its page, by the number of runs."""
    rows = {name: [_spread(by["seconds"]), f"{by['MB']:.2f}"] for name, by in found.items()}
    return table("report of", ["seconds", "MB of the page"], rows)


def slow_table(found: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """Return a table of both engines' rates on slow environments, and the ratios of the runs that followed each other.

    `found` has the rates by what a step does and by engine.
    """
    rows = {}
    for kind, by in found.items():
        ratios = [above / below for above, below in zip(by["processes"], by["gymnasium"], strict=True)]
        figures = (*(Measurement(by[engine], 0.0) for engine in ("gymnasium", "processes")), _ratio(ratios))
        rows[f"5 ms of {kind}"] = [str(figure) for figure in figures]
    return table("env steps per second", ["gymnasium", "processes", "ratio"], rows)


def _spread(seconds: Sequence[float]) -> str:
    return f"{_seconds(statistics.median(seconds))} ({_seconds(min(seconds))} to {_seconds(max(seconds))})"


def _ratio(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
