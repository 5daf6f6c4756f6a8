"""`acexp resume`: continue a run, or the runs of a sweep, from the last intact checkpoints."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from acexp.commands.arguments import Arguments
from acexp.commands.console import conclude, print_outcome
from acexp.commands.screen import console_for_runs, relative
from acexp.commands.sweep_view import SweepView
from acexp.commands.train import train
from acexp.config import from_yaml
from acexp.config.launcher import KEY, LauncherConfig, launcher_of
from acexp.core.errors import UserError
from acexp.core.flags import MULTIRUN
from acexp.metrics import display_for
from acexp.runs import resumption, run_directory, runner
from acexp.runs.run import Run, TrainOptions
from acexp.runs.run_directory import Status
from acexp.sweeps.fleet import Fleet
from acexp.sweeps.runs import StartedRuns, planned_step
from acexp.sweeps.sweep_directory import (
    SWEEP,
    Sweep,
    SweepCommand,
    command_to_continue,
    is_search,
    read_sweep,
    refuse_trained,
    runs_in,
    unstarted,
)

SIGNALLED = 128
"""Exit codes from here on mean that a signal ended the command."""

RESUMABLE = ("failed", "interrupted", run_directory.KILLED, "diverged")
"""The statuses that `--only` takes."""

SWEEP_DIR = "hydra.sweep.dir"
HARMLESS_KEYS = (
    SWEEP_DIR,
    *(f"{KEY}.{key}" for key in ("executor", "max_members", "processes", "cpus", "gpus", "retries")),
    *(f"{KEY}.slurm.{key}" for key in ("cluster", "partition", "account", "qos", "timeout_min", "mem_gb")),
)


def resume(arguments: list[str]) -> int:
    """Resume the runs of a directory by their own configs, then begin the runs that a sweep had not begun."""
    parser = Arguments(prog="acexp resume", description="Go on with a run or a sweep.")
    parser.add_argument("directory", type=Path, help="a run's directory, or a sweep's")
    parser.add_argument("--allow-plugins", action="store_true", help="import the modules that its config names")
    parser.add_argument(
        "--allow-changes", action="store_true", help="go on although config.yaml was changed; noted in status.json"
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=RESUMABLE,
        metavar="STATE",
        help=f"resume only the runs with this status ({', '.join(RESUMABLE)}); may be given several times",
    )
    options = parser.parse_args(arguments)
    console = console_for_runs()
    directory: Path = options.directory.resolve()
    sweep = read_sweep(directory)
    if sweep is not None and is_search(directory):
        raise UserError(
            "This is a search's directory, and a search decides by itself which runs continue.",
            value=str(directory),
            remedy=f"give its command again: {command_to_continue(directory, str(directory))}",
        )
    found = runs_in(directory)
    statuses = {run: run_directory.current_status(run, run_directory.read_status(run)) for run in found}
    if options.only:
        statuses = {run: status for run, status in statuses.items() if status in options.only}
    if found != [directory]:
        refuse_trained(statuses)
    runs = [
        Run(from_yaml(run / run_directory.CONFIG, allow_plugins=options.allow_plugins), run)
        for run, status in statuses.items()
        if options.allow_changes or status not in run_directory.OVER
    ]
    runs = [run for run in runs if _is_left(run, statuses[run.directory])]
    n_unstarted = 0 if options.only else unstarted(sweep, found)
    if not runs and not n_unstarted:
        console.print(_nothing_to_do(directory, list(statuses.values()), options.only or ()), markup=False)
        changed = _changed(statuses, allow_plugins=options.allow_plugins)
        if changed:
            console.print("\n".join(changed), markup=False)
        return 0
    launcher = _launcher(sweep, allow_plugins=options.allow_plugins)
    code = 0
    if [run.directory for run in runs] == [directory]:
        code = _resume_run(console, runs[0], allow_changes=options.allow_changes)
    elif runs:
        code = _resume_sweep(console, runs, launcher, allow_changes=options.allow_changes)
    if sweep is None or not n_unstarted or code >= SIGNALLED:
        return code
    for command in sweep.commands:
        if code < SIGNALLED:
            code = max(code, _begin_the_rest(directory, command, allow_plugins=options.allow_plugins))
    return code


def _is_left(run: Run, status: object) -> bool:
    """Return True unless the run is done and has been trained for all of its steps."""
    return status != Status.DONE or planned_step(run.directory) < run.config.total_steps


def _nothing_to_do(directory: Path, statuses: Sequence[object], only: Sequence[str]) -> str:
    n_diverged = statuses.count(Status.DIVERGED)
    if only and not statuses:
        return f"{relative(directory)}: no run is {' or '.join(only)}, so there is nothing to resume"
    if not n_diverged:
        return f"{relative(directory)} is done: there is nothing to resume"
    which = "it has diverged" if len(statuses) == 1 else f"{n_diverged} of {len(statuses)} runs have diverged"
    return (
        f"{relative(directory)}: there is nothing to resume; {which}, and would again.\n"
        "To go on otherwise, change config.yaml and add --allow-changes."
    )


def _changed(statuses: Mapping[Path, object], *, allow_plugins: bool) -> list[str]:
    """Return lines about runs that are done, and whose config.yaml was changed since: the change has no effect."""
    done = [run for run, status in statuses.items() if status == Status.DONE]
    lines = []
    for directory in done:
        with contextlib.suppress(UserError):  # a config that cannot be read, or names plugins, is not compared
            run = Run(from_yaml(directory / run_directory.CONFIG, allow_plugins=allow_plugins), directory)
            lines += [f"  {change}" for change in resumption.changes_of(run) if change not in lines]
    if not lines:
        return []
    return [
        "config.yaml was changed since, and that has no effect on what is done:",
        *dict.fromkeys(lines),
        "A run that is done goes on with --allow-changes, if its total_steps was raised.",
    ]


def _launcher(sweep: Sweep | None, *, allow_plugins: bool) -> LauncherConfig:
    """Return the launcher of the newest command of the sweep."""
    arguments = [] if sweep is None else sweep.commands[-1].arguments
    settings = [argument for argument in arguments if argument.startswith(f"{KEY}.")]
    _refuse_code(settings, allow_plugins=allow_plugins)
    return launcher_of(settings)


def _refuse_code(arguments: Sequence[str], *, allow_plugins: bool) -> None:
    """Raise UserError if a sweep's command, which may come from somebody else, could run code of its own."""
    dangerous = [argument for argument in arguments if not _is_plain(argument)]
    if dangerous and not allow_plugins:
        raise UserError(
            "The sweep's own command is needed to go on, and it can run code.",
            value=" ".join(dangerous),
            place=SWEEP,
            remedy="if you trust it, add --allow-plugins",
        )


def _resume_run(console: Console, run: Run, *, allow_changes: bool) -> int:
    """Resume a single run; returns the exit code."""
    options = TrainOptions(resume=True, allow_changes=allow_changes)
    result = runner.attempt([run], options, display_for(console))
    if isinstance(result, UserError):
        raise result
    print_outcome(console, result[0])
    return conclude(console, result)


def _resume_sweep(console: Console, runs: Sequence[Run], launcher: LauncherConfig, *, allow_changes: bool) -> int:
    """Resume a sweep's runs as populations; returns the exit code."""
    if not allow_changes:
        for run in runs:
            resumption.refuse_changes(run)  # now, as it would fail its whole population later
    names = [run.directory.name.split(",") for run in runs]
    with SweepView(console, names, [run.config.total_steps for run in runs]) as view, Fleet(launcher) as fleet:
        work: dict[int, int | None] = {i: planned_step(run.directory) for i, run in enumerate(runs)}
        options = TrainOptions(allow_changes=allow_changes)
        results, number = fleet.train(StartedRuns(runs), view, work, options)
    return conclude(console, [outcome for outcome in results if outcome is not None], results.count(None), number)


def _begin_the_rest(directory: Path, command: SweepCommand, *, allow_plugins: bool) -> int:
    """Run a command of the sweep again; it leaves alone the runs that are done."""
    _refuse_code(command.arguments, allow_plugins=allow_plugins)
    kept = [argument for argument in command.arguments if not argument.startswith(f"{SWEEP_DIR}=")]
    arguments = [*kept, f"{SWEEP_DIR}={_quoted(directory)}"]
    if not (allow_plugins and command.folder.is_dir()):
        return train(arguments, only_new=True)
    # The plugins and folders of YAML that the command names lie in the folder where it was started.
    sys.path.insert(0, str(command.folder))
    with contextlib.chdir(command.folder):
        return train(arguments, only_new=True)


def _quoted(path: Path) -> str:
    """Return a path quoted for Hydra's grammar."""
    escaped = str(path).replace("\\", "\\\\").replace("'", "\\'").replace("${", "\\${")
    return f"'{escaped}'"


def _is_plain(argument: str) -> bool:
    """Return True if an argument sets a value of a run and cannot make Hydra or acexp import a module."""
    key, equals, value = argument.lstrip("+~").partition("=")
    if "${" in argument:
        return False  # an interpolation can have any value
    if argument in MULTIRUN or key in HARMLESS_KEYS:
        return True
    if not equals or not re.fullmatch(r"[\w./@]+", key) or key.split(".")[0].split("/")[0] in ("hydra", "plugins"):
        return False
    part = key.split("@")[0]
    if part == "env":
        return re.fullmatch(r"[\w,-]*", value) is not None  # names of choices, and no group with an id or wrappers
    if part.startswith("env.wrappers"):
        return not re.search(r":\S", value)  # module:Class; the colons of a dict are followed by spaces
    return not (part == "env.id" and ":" in value)
