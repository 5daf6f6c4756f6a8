"""`acexp resume`: go on with a run, or with a sweep's runs, from the last whole checkpoints."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from acexp.commands.outcomes import conclude, print_outcome, relative
from acexp.commands.sweep_view import SweepView
from acexp.commands.train import train
from acexp.config import RunConfig, from_yaml
from acexp.config.application import MULTIRUN
from acexp.config.launcher import KEY, LauncherConfig, launcher_of
from acexp.core.errors import UserError
from acexp.metrics import display_for
from acexp.runs import checkpoint, resumption, run_directory, runner
from acexp.runs.outcome import Outcome
from acexp.runs.run_directory import Status, Sweep
from acexp.sweeps.fleet import Fleet
from acexp.system import distributed

SIGNALLED = 128
"""Exit codes from here on say that somebody wanted an end."""

SWEEP_DIR = "hydra.sweep.dir"
HARMLESS_KEYS = (
    SWEEP_DIR,
    *(f"{KEY}.{key}" for key in ("executor", "max_members", "processes", "cpus", "gpus", "retries")),
    *(f"{KEY}.slurm.{key}" for key in ("cluster", "partition", "account", "qos", "timeout_min", "mem_gb")),
)


def resume(arguments: list[str]) -> int:
    """Resume what the directory holds, by its own configs; then begin what a sweep had not begun."""
    parser = argparse.ArgumentParser(prog="acexp resume", description="Go on with a run or a sweep.")
    parser.add_argument("directory", type=Path, help="a run's directory, or a sweep's")
    parser.add_argument("--allow-plugins", action="store_true", help="import the modules that its config names")
    parser.add_argument(
        "--allow-changes", action="store_true", help="go on although config.yaml was changed; noted in status.json"
    )
    options = parser.parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True, quiet=distributed.rank() > 0)
    directory: Path = options.directory.resolve()
    sweep = run_directory.read_sweep(directory)
    if sweep is not None and run_directory.is_search(directory):
        raise UserError(
            "This is a search's directory, which decides itself what to go on with.",
            value=str(directory),
            remedy=f"give its command again: {run_directory.how_to_go_on(directory, str(directory))}",
        )
    found = run_directory.runs_in(directory)
    statuses = [run_directory.read_status(run).get("status") for run in found]
    is_over = [status in run_directory.OVER for status in statuses]
    looked_at = [run for run, over in zip(found, is_over, strict=True) if options.allow_changes or not over]
    configs = [from_yaml(run / run_directory.CONFIG, allow_plugins=options.allow_plugins) for run in looked_at]
    pairs = [
        (run, config)
        for run, config in zip(looked_at, configs, strict=True)
        if (checkpoint.step(run) or 0) < config.total_steps or run_directory.read_status(run)["status"] != Status.DONE
    ]
    n_unstarted = run_directory.unstarted(sweep, found)
    if not pairs and not n_unstarted:
        console.print(_nothing_to_do(directory, statuses), markup=False)
        return 0
    launcher = _launcher(sweep, allow_plugins=options.allow_plugins)
    code = _go_on(console, directory, pairs, launcher, allow_changes=options.allow_changes) if pairs else 0
    if sweep is None or not n_unstarted or code >= SIGNALLED:
        return code
    return max(code, _begin_the_rest(directory, sweep, allow_plugins=options.allow_plugins))


def _nothing_to_do(directory: Path, statuses: Sequence[object]) -> str:
    n_diverged = statuses.count(Status.DIVERGED)
    if not n_diverged:
        return f"{relative(directory)} is done: there is nothing to resume"
    which = "it has diverged" if len(statuses) == 1 else f"{n_diverged} of {len(statuses)} runs have diverged"
    return (
        f"{relative(directory)}: there is nothing to resume; {which}, and would again.\n"
        "To go on otherwise, change config.yaml and say --allow-changes."
    )


def _launcher(sweep: Sweep | None, *, allow_plugins: bool) -> LauncherConfig:
    """Where the sweep's own command would have its runs trained."""
    told = [] if sweep is None else [argument for argument in sweep.arguments if argument.startswith(f"{KEY}.")]
    _refuse_code(told, allow_plugins=allow_plugins)
    return launcher_of(told)


def _refuse_code(arguments: Sequence[str], *, allow_plugins: bool) -> None:
    """Raise UserError if a sweep's command, which may come from anybody, could run code of its own."""
    dangerous = [argument for argument in arguments if not _is_plain(argument)]
    if dangerous and not allow_plugins:
        raise UserError(
            "The sweep's own command is needed to go on, and it can run code.",
            value=" ".join(dangerous),
            place=run_directory.SWEEP,
            remedy="if you trust it, say --allow-plugins",
        )


def _go_on(
    console: Console,
    directory: Path,
    pairs: Sequence[tuple[Path, RunConfig]],
    launcher: LauncherConfig,
    *,
    allow_changes: bool,
) -> int:
    """Train the runs that had begun; returns the exit code."""
    runs, configs = [run for run, _ in pairs], [config for _, config in pairs]
    if runs == [directory]:
        result = runner.attempt(configs, runs, display_for(console), resume=True, allow_changes=allow_changes)
        if isinstance(result, UserError):
            raise result
        print_outcome(console, result[0])
        return conclude(console, result)
    if not allow_changes:
        for run, config in pairs:
            resumption.refuse_changes(config, run)  # before a run is touched: it would take its whole population along
    with SweepView(console, [run.name.split(",") for run in runs], [c.total_steps for c in configs]) as view:
        work: dict[int, int | None] = {i: checkpoint.step(run) or 0 for i, run in enumerate(runs)}
        with Fleet(launcher) as fleet:
            results, number = fleet.train(_Runs(configs, runs), view, work, allow_changes=allow_changes)
    return conclude(console, [outcome for outcome in results if outcome is not None], results.count(None), number)


def _begin_the_rest(directory: Path, sweep: Sweep, *, allow_plugins: bool) -> int:
    """Give the sweep's own command again, which leaves alone what is done."""
    _refuse_code(sweep.arguments, allow_plugins=allow_plugins)
    kept = [argument for argument in sweep.arguments if not argument.startswith(f"{SWEEP_DIR}=")]
    arguments = [*kept, f"{SWEEP_DIR}={_quoted(directory)}"]
    if not (allow_plugins and sweep.folder.is_dir()):
        return train(arguments, fresh_only=True)
    # What the command names, plugins and folders of YAML, is where it was given.
    sys.path.insert(0, str(sweep.folder))
    with contextlib.chdir(sweep.folder):
        return train(arguments, fresh_only=True)


def _quoted(path: Path) -> str:
    """As Hydra's grammar takes any text."""
    escaped = str(path).replace("\\", "\\\\").replace("'", "\\'").replace("${", "\\${")
    return f"'{escaped}'"


def _is_plain(argument: str) -> bool:
    """Whether it sets a value of a run, and cannot make Hydra or acexp import what it names."""
    key, equals, value = argument.lstrip("+~").partition("=")
    if "${" in argument:
        return False  # it may come to anything
    if argument in MULTIRUN or key in HARMLESS_KEYS:
        return True
    if not equals or not re.fullmatch(r"[\w./@]+", key) or key.split(".")[0].split("/")[0] in ("hydra", "plugins"):
        return False
    return not (key == "env.id" and ":" in value)


class _Runs:
    """Runs that have their directories, as a fleet trains them."""

    def __init__(self, configs: Sequence[RunConfig], directories: Sequence[Path]) -> None:
        self.configs = configs
        self._directories = directories

    def directory(self, run: int) -> Path:
        return self._directories[run]

    def open(self, run: int, directory: Path) -> None:
        pass

    def explain(self, run: int, error: UserError) -> UserError:
        return error.at(str(self._directories[run] / run_directory.CONFIG))

    def close(self, run: int, outcome: Outcome) -> None:
        pass
