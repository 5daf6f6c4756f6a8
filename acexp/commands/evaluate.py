"""`acexp eval`: evaluates trained runs in environments that their training has not used."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from acexp.algorithm.assembly import check_environments
from acexp.commands.console import EXIT_INTERRUPTED, console_for_tables, relative
from acexp.commands.numbers import at_least_one
from acexp.commands.tables import print_table
from acexp.config import structure
from acexp.core.errors import UserError
from acexp.engines import AUTO
from acexp.metrics import TensorBoardWriter, tags
from acexp.runs import evaluation
from acexp.runs.run import Run
from acexp.runs.saved_policy import saved_run
from acexp.sweeps.sweep_directory import runs_in
from acexp.system.files import unwritable

EXIT_FAILED = 1
AT_ONCE = 16
"""Number of runs that are evaluated together; more would take more memory and hardly be faster."""
COLUMNS = ("run", "n", "mean", "std", "median", "iqm", "min", "max", "length")


def evaluate(arguments: list[str]) -> int:
    """Evaluate the run, or every run of the sweep, in the directory that is given."""
    parser = argparse.ArgumentParser(prog="acexp eval", description="Evaluate trained runs.")
    parser.add_argument("directory", type=Path, help="the directory of a run or a sweep")
    parser.add_argument("--episodes", type=at_least_one("episode"), default=100, help="episodes per run (100)")
    parser.add_argument("--stochastic", action="store_true", help="sample actions rather than take the most likely")
    parser.add_argument("--allow-plugins", action="store_true", help="import the modules that the runs' configs name")
    options = parser.parse_args(arguments)
    console = console_for_tables()
    directories = runs_in(options.directory.resolve())
    failures: dict[Path, UserError] = {}
    found: dict[Path, evaluation.Evaluation] = {}
    is_stopped = False
    try:
        groups = _groups(directories, failures, allow_plugins=options.allow_plugins)
        for remark in _remarks(groups):
            console.print(
                f"{remark} The episodes may be played in another environment than that of training.", markup=False
            )
        for group in groups:
            found |= _evaluated(group, options.episodes, failures, deterministic=not options.stochastic)
    except KeyboardInterrupt:
        is_stopped = True
    if directories == [options.directory.resolve()] and failures:
        raise failures[directories[0]]
    infos = {run: tags.info(evaluated.infos) for run, evaluated in found.items()}
    columns = (*COLUMNS, *dict.fromkeys(tag for run in infos for tag in infos[run]))
    rows = []
    for run in directories:
        if run in found:
            s = found[run].summary
            numbers = [f"{x:,.1f}" for x in (s.mean, s.std, s.median, s.iqm, s.min, s.max, found[run].length.mean)]
            logged = [f"{infos[run][tag]:.3g}" if tag in infos[run] else "" for tag in columns[len(COLUMNS) :]]
            rows.append([run.name, str(s.n), *numbers, *logged])
    if found or not is_stopped:
        print_table(console, columns, rows, right=columns[1:])
    for run, error in failures.items():
        console.print(f"not evaluated: {relative(run)}: {error.problem}", markup=False)
    if is_stopped:
        left = len(directories) - len(found) - len(failures)
        console.print(f"interrupted: {len(found)} runs were evaluated and {left} were not", markup=False)
        return EXIT_INTERRUPTED
    return EXIT_FAILED if failures else 0


def _groups(directories: Sequence[Path], failures: dict[Path, UserError], *, allow_plugins: bool) -> list[list[Run]]:
    """Return groups of runs that can be evaluated together, at most AT_ONCE in each."""
    groups: dict[str, list[Run]] = {}
    for directory in directories:
        try:
            run = saved_run(directory, allow_plugins=allow_plugins)
            groups.setdefault(structure(run.config), []).append(run)
        except UserError as error:
            failures[directory] = error
    return [group[i : i + AT_ONCE] for group in groups.values() for i in range(0, len(group), AT_ONCE)]


def _remarks(groups: Sequence[Sequence[Run]]) -> tuple[str, ...]:
    """Return what is remarkable about the runs' environments; one that is faulty is refused where it is played."""
    configs = [run.config for group in groups for run in group]
    with suppress(UserError):
        # The engine is the one that `auto` took, but what is asked here is how the environment itself behaves.
        return check_environments(replace(each, engine=replace(each.engine, name=AUTO)) for each in configs)
    return ()


def _evaluated(
    runs: Sequence[Run], n_episodes: int, failures: dict[Path, UserError], *, deterministic: bool
) -> dict[Path, evaluation.Evaluation]:
    """Evaluate runs and write the results to their directories; runs that fail are added to `failures`."""
    try:
        evaluated = evaluation.evaluate_together(runs, n_episodes, deterministic)
        for run, found in zip(runs, evaluated, strict=True):
            _write(run.directory, found)
    except UserError as error:
        if len(runs) == 1:
            failures[runs[0].directory] = error
            return {}
        apart = [_evaluated([run], n_episodes, failures, deterministic=deterministic) for run in runs]
        return {directory: found for each in apart for directory, found in each.items()}
    return {run.directory: found for run, found in zip(runs, evaluated, strict=True)}


def _write(run: Path, found: evaluation.Evaluation) -> None:
    try:
        evaluation.write(run, found)
        writer = TensorBoardWriter(run, experiment=None)
        writer.write(found.step, tags.evaluation(found.summary, found.length, found.infos), {})
        writer.close()
    except OSError as error:
        raise unwritable("The evaluation", error, run) from error
