"""`acexp eval`: how good trained runs are, in environments that they have never seen."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.table import Table
from rich.text import Text

from acexp import evaluation, run_directory
from acexp.commands.numbers import at_least_one
from acexp.commands.outcomes import console_for_tables, relative
from acexp.core.errors import UserError
from acexp.files import unwritable
from acexp.metrics import TensorBoardWriter, tags

EXIT_FAILED = 1
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
    failures: list[tuple[Path, str]] = []
    for run in run_directory.runs_in(options.directory.resolve()):
        try:
            found = evaluation.evaluate(
                run, options.episodes, deterministic=not options.stochastic, allow_plugins=options.allow_plugins
            )
            _write(run, found)
        except UserError as error:
            if run == options.directory.resolve():
                raise
            failures.append((run, error.problem))
            continue
        s = found.summary
        numbers = [f"{x:,.1f}" for x in (s.mean, s.std, s.median, s.iqm, s.min, s.max, found.length.mean)]
        table.add_row(Text(run.name), str(s.n), *numbers)
    console.print(table)
    for run, problem in failures:
        console.print(f"not evaluated: {relative(run)}: {problem}", markup=False)
    return EXIT_FAILED if failures else 0


def _write(run: Path, found: evaluation.Evaluation) -> None:
    try:
        evaluation.write(run, found)
        writer = TensorBoardWriter(run, experiment=None)
        writer.write(found.step, tags.evaluation(found.summary, found.length), {})
        writer.close()
    except OSError as error:
        raise unwritable("The evaluation", error, run) from error
