"""`acexp eval`: how good trained runs are, in environments that they have never seen."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from acexp.commands.numbers import at_least_one
from acexp.commands.outcomes import console_for_tables, relative
from acexp.config import RunConfig, from_yaml
from acexp.config.schema import structure
from acexp.core.errors import UserError
from acexp.metrics import TensorBoardWriter, tags
from acexp.runs import evaluation, run_directory
from acexp.system.files import unwritable

EXIT_FAILED = 1
AT_ONCE = 16
"""Runs that play side by side; more of them would cost memory, and hardly be faster."""
COLUMNS = ("run", "n", "mean", "std", "median", "iqm", "min", "max", "length")


def evaluate(arguments: list[str]) -> int:
    """Evaluate the run, or every run of a sweep, in the directory that is named."""
    parser = argparse.ArgumentParser(prog="acexp eval", description="Evaluate trained runs.")
    parser.add_argument("directory", type=Path, help="a run's directory, or a sweep's")
    parser.add_argument("--episodes", type=at_least_one("episode"), default=100, help="of each run (100)")
    parser.add_argument("--stochastic", action="store_true", help="sample actions rather than take the most likely")
    parser.add_argument("--allow-plugins", action="store_true", help="import the modules that its config names")
    options = parser.parse_args(arguments)
    console = console_for_tables()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in COLUMNS:
        table.add_column(column, no_wrap=True, justify="left" if column == "run" else "right")
    runs = run_directory.runs_in(options.directory.resolve())
    failures: dict[Path, UserError] = {}
    found: dict[Path, evaluation.Evaluation] = {}
    for group in _groups(runs, failures, allow_plugins=options.allow_plugins):
        found |= _evaluated(group, options.episodes, failures, deterministic=not options.stochastic)
    if runs == [options.directory.resolve()] and failures:
        raise failures[runs[0]]
    for run in runs:
        if run in found:
            s = found[run].summary
            numbers = [f"{x:,.1f}" for x in (s.mean, s.std, s.median, s.iqm, s.min, s.max, found[run].length.mean)]
            table.add_row(Text(run.name), str(s.n), *numbers)
    console.print(table)
    for run, error in failures.items():
        console.print(f"not evaluated: {relative(run)}: {error.problem}", markup=False)
    return EXIT_FAILED if failures else 0


def _groups(
    runs: Sequence[Path], failures: dict[Path, UserError], *, allow_plugins: bool
) -> list[list[tuple[Path, RunConfig]]]:
    """Runs that can be evaluated side by side, a few at a time."""
    groups: dict[str, list[tuple[Path, RunConfig]]] = {}
    for run in runs:
        try:
            config = from_yaml(run / run_directory.CONFIG, allow_plugins=allow_plugins)
            groups.setdefault(repr(structure(config)), []).append((run, config))
        except UserError as error:
            failures[run] = error
    return [group[i : i + AT_ONCE] for group in groups.values() for i in range(0, len(group), AT_ONCE)]


def _evaluated(
    group: Sequence[tuple[Path, RunConfig]], n_episodes: int, failures: dict[Path, UserError], *, deterministic: bool
) -> dict[Path, evaluation.Evaluation]:
    """What the runs reached, written beside each; one that cannot be evaluated leaves the others to it."""
    runs, configs = zip(*group, strict=True)
    try:
        evaluated = evaluation.evaluate_together(runs, configs, n_episodes, deterministic=deterministic)
        for run, found in zip(runs, evaluated, strict=True):
            _write(run, found)
    except UserError as error:
        if len(group) == 1:
            failures[runs[0]] = error
            return {}
        apart = [_evaluated([one], n_episodes, failures, deterministic=deterministic) for one in group]
        return {run: found for each in apart for run, found in each.items()}
    return dict(zip(runs, evaluated, strict=True))


def _write(run: Path, found: evaluation.Evaluation) -> None:
    try:
        evaluation.write(run, found)
        writer = TensorBoardWriter(run, experiment=None)
        writer.write(found.step, tags.evaluation(found.summary, found.length), {})
        writer.close()
    except OSError as error:
        raise unwritable("The evaluation", error, run) from error
