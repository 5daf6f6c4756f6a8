"""What a sweep or a search would do, printed with `hydra.launcher.dry_run=true`; nothing is made."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from rich.console import Console

from acexp.commands.screen import relative
from acexp.commands.sweep_view import label
from acexp.config import RunConfig
from acexp.config.launcher import DRY_RUN, LauncherConfig
from acexp.config.names import varying_keys
from acexp.config.search import Search
from acexp.config.sweep import SweepJobs
from acexp.sweeps.estimate import measured_rates, seconds_for
from acexp.sweeps.executors import expected_places
from acexp.sweeps.fleet import divide
from acexp.sweeps.runs import SweepRuns

MEASURED = Path("outputs")
"""Where earlier runs are looked for, whose rates are taken."""

WORKERS = {"local": "processes of this machine", "ray": "tasks of Ray", "slurm": "jobs of Slurm"}


def preview_sweep(console: Console, jobs: SweepJobs, launcher: LauncherConfig, arguments: Sequence[str]) -> None:
    """Print how many runs a sweep would train, in which populations, where, and about how long."""
    runs = SweepRuns(jobs)
    work, earlier = runs.left_to_do()
    places = expected_places(launcher)
    populations = divide(runs.configs, work, launcher.max_members, places)
    overrides = [run.overrides for run in jobs.runs]
    varying = varying_keys(overrides)
    lines = [f"{len(runs.configs)} runs: {len(work)} to train, {len(earlier)} left as they are"]
    if populations:
        lines.append(f"in {len(populations)} populations, {_at_a_time(launcher, min(places, len(populations)))}:")
    for members in populations:
        steps = runs.configs[members[0]].total_steps
        named = label([overrides[member] for member in members], varying)
        lines.append(f"  {len(members)} x {steps:,} steps: {named}")
    steps_of = [sum(runs.configs[m].total_steps - (work[m] or 0) for m in members) for members in populations]
    examples = [runs.configs[members[0]] for members in populations]
    lines.append(f"directory: {relative(runs.directory(0).parent)}")
    lines.append(_duration(examples, steps_of, places))
    _print(console, lines, arguments)


def preview_search(console: Console, search: Search, arguments: Sequence[str]) -> None:
    """Print how many trials a search would train, of how many runs, where, and at most how long."""
    config, n_seeds = search.config, len(search.space.seeds)
    jobs = search.jobs(search.space.corners[:1])
    places = expected_places(search.launcher)
    example = jobs.runs[0].config
    at_a_time = min(places, config.batch * n_seeds)
    steps = config.n_trials * n_seeds * example.total_steps / at_a_time
    lines = [
        f"{config.n_trials} trials of {n_seeds} runs each, {config.batch} trials at a time, over "
        f"{', '.join(search.space.dimensions)}",
        f"{example.total_steps:,} steps a run, {_at_a_time(search.launcher, at_a_time)}",
        f"directory: {relative(jobs.directory(0).parent)}",
        _duration([example] * at_a_time, [steps] * at_a_time, places),
    ]
    _print(console, lines, arguments)


def _print(console: Console, lines: Sequence[str], arguments: Sequence[str]) -> None:
    kept = [argument for argument in arguments if not argument.startswith(f"{DRY_RUN}=")]
    ending = ["nothing was made; train with:", f"  {shlex.join(['acexp', *kept])}"]
    console.print("\n".join([*lines, *ending]), markup=False, highlight=False, soft_wrap=True)


def _at_a_time(launcher: LauncherConfig, n: int) -> str:
    """Return how many populations train at a time, and where; Slurm starts as many as it has room for."""
    where = f"in {WORKERS[launcher.executor]}"
    return where if launcher.executor == "slurm" and launcher.processes is None else f"{n} at a time, {where}"


def _duration(examples: Sequence[RunConfig], steps: Sequence[float], places: int) -> str:
    """Return about how long populations take, from one config of each and the env steps of all of its members."""
    if not examples:
        return "duration: none, as nothing is left to train"
    rates = measured_rates(MEASURED)
    unknown = sorted({config.env.id for config in examples} - rates.keys())
    if unknown:
        return f"duration: unknown, as no run of {', '.join(unknown)} below {MEASURED}/ has been measured"
    typical = {environment: median(found) for environment, found in rates.items()}
    each = [n / typical[config.env.id] for config, n in zip(examples, steps, strict=True)]
    return f"duration: about {_in_words(seconds_for(each, places))}, by {_measured(rates, typical, examples)}"


def _measured(rates: Mapping[str, Sequence[float]], typical: Mapping[str, float], examples: Sequence[RunConfig]) -> str:
    environments = dict.fromkeys(config.env.id for config in examples)
    parts = [f"{len(rates[name])} earlier runs of {name} ({typical[name]:,.0f} steps/s)" for name in environments]
    return " and ".join(parts)


def _in_words(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
