"""`acexp resume`: go on with a run, or with a sweep's runs, from the last whole checkpoints.

A sweep's runs that had not begun are not known here: the sweep's own command trains them, and resumes the others too.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from acexp import checkpoint, fleet, run_directory, runner
from acexp.commands.outcomes import conclude, print_outcome, relative
from acexp.commands.sweep_view import SweepView
from acexp.config import RunConfig, from_yaml
from acexp.core.errors import UserError
from acexp.fleet import Fleet
from acexp.metrics import display_for
from acexp.run_directory import Status
from acexp.runner import Outcome

MAX_MEMBERS = 16


def resume(arguments: list[str]) -> int:
    """Resume what the directory holds, by its own configs."""
    parser = argparse.ArgumentParser(prog="acexp resume", description="Go on with a run or a sweep.")
    parser.add_argument("directory", type=Path, help="a run's directory, or a sweep's")
    parser.add_argument("--allow-plugins", action="store_true", help="import the modules that its config names")
    options = parser.parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    directory: Path = options.directory.resolve()
    found = run_directory.runs_in(directory)
    statuses = [run_directory.read_status(run).get("status") for run in found]
    unfinished = [run for run, status in zip(found, statuses, strict=True) if status != Status.DONE]
    if not unfinished:
        console.print(f"{relative(directory)} is done: there is nothing to resume", markup=False)
        return 0
    configs = [from_yaml(run / run_directory.CONFIG, allow_plugins=options.allow_plugins) for run in unfinished]
    if found == [directory]:
        result = runner.attempt(configs, unfinished, display_for(console), resume=True)
        if isinstance(result, UserError):
            raise result
        print_outcome(console, result[0])
        return conclude(console, result, 0)
    with SweepView(console, [run.name.split(",") for run in unfinished], [c.total_steps for c in configs]) as view:
        work: dict[int, int | None] = {i: checkpoint.step(run) or 0 for i, run in enumerate(unfinished)}
        results = fleet.train_all(_Runs(configs, unfinished), Fleet(MAX_MEMBERS), view, work)
    return conclude(console, [outcome for outcome in results if outcome is not None], results.count(None))


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
