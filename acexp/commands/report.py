"""`acexp report`: compares runs, prints the answer, and writes the report."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from acexp import report as reports
from acexp.commands.arguments import Arguments
from acexp.commands.conclusion import print_answer
from acexp.commands.evaluate import EvaluateOptions, evaluate_runs
from acexp.commands.screen import console_for_tables, relative
from acexp.core.errors import UserError
from acexp.report import Question, Study
from acexp.report.figures import FORMATS, write_figures
from acexp.report.scores import BEST
from acexp.runs import evaluation, run_directory
from acexp.runs.run_directory import Status
from acexp.runs.saved_policy import Which, read_score
from acexp.sweeps.overview import runs_below
from acexp.system.files import CHOOSE_OUT, unwritable

FIGURES = Path("report") / "figures"

LONGEST_NAME = 100
"""The length in characters from which on the folder of a joint report is called by a count, not by all names."""


def report(arguments: list[str]) -> int:
    """Write the report of every run in or below the directories that are given, and print its answer."""
    parser = Arguments(prog="acexp report", description="Compare runs, with intervals.")
    parser.add_argument(
        "directories",
        metavar="directory",
        nargs="+",
        type=Path,
        help="the directory of a sweep or a run, or one that contains several; the runs of all are compared",
    )
    parser.add_argument("--baseline", metavar="FACTOR=LEVEL,...", help="the cell to compare with: arch=shared")
    parser.add_argument(
        "--metric",
        help="evaluation, training (the last 100 episodes), area (the mean return over training), best (the policies "
        "that eval.keep_best kept, which are played again), or a tag; by default evaluation if all have one",
    )
    parser.add_argument("--threshold", metavar="RETURN", help="the return that counts as having learned")
    parser.add_argument(
        "--out", type=Path, help="where to write the report (the directory itself; of several: a new one beside them)"
    )
    parser.add_argument(
        "--watch", metavar="SECONDS", help="write the report anew at this interval until all runs are over, or Ctrl-C"
    )
    parser.add_argument("--allow-plugins", action="store_true", help="import what configs name, to play best policies")
    parser.add_argument("--figures", metavar="FORMAT", help="write every chart as a file too: svg or png")
    options = parser.parse_args(arguments)
    if options.figures not in (None, *FORMATS):
        raise UserError("There is no such format of figures.", "--figures", options.figures, choices=FORMATS)
    threshold = None if options.threshold is None else _number("--threshold", options.threshold, "a return: 200")
    watch = None if options.watch is None else _number("--watch", options.watch, "seconds: 30", least=1.0)
    first, *others = (path.resolve() for path in options.directories)
    question = Question(options.baseline, options.metric, threshold)
    target = options.out.resolve() if options.out else _place([first, *others])

    console = console_for_tables()

    def read() -> Study:
        if question.metric == BEST:
            _play_best([first, *others], console, allow_plugins=options.allow_plugins)
        return reports.study(first, question, others)

    def write(study: Study, every: float | None = None) -> list[Path]:
        try:
            return reports.write(target, study, every)
        except OSError as error:
            raise unwritable("The report", error, target, CHOOSE_OUT) from error

    study = read()
    written = write(study, watch)
    if watch is not None:
        console.print(f"The report is written every {watch:g} s (Ctrl-C ends it): {relative(written[0])}", markup=False)
        study = _watch(study, watch, read, write, console)
        written = write(study)
    _print(console, study)
    console.print("\n".join(f"  {relative(path)}" for path in written[:2]), markup=False)
    console.print(f"  {relative(written[-1].parent)}/*.csv", markup=False)
    if options.figures:
        try:
            drawn = write_figures(target / FIGURES, study, options.figures)
        except OSError as error:
            raise unwritable("The figures", error, target / FIGURES, CHOOSE_OUT) from error
        console.print(f"  {relative(target / FIGURES)}/*.{options.figures} ({len(drawn)})", markup=False)
    return 0


def _play_best(directories: list[Path], console: Console, *, allow_plugins: bool) -> None:
    """Play the best policies of runs that are done again, except those that have been: a report itself reads files."""
    runs = dict.fromkeys(run for directory in directories for run in runs_below(directory))
    left = [run for run in runs if _is_unplayed(run)]
    if not left:
        return
    what = "1 best policy is" if len(left) == 1 else f"{len(left)} best policies are"
    console.print(f"{what} being played again, on seeds that did not choose them", markup=False)
    # Actions are taken as when the policies were chosen: the seeds alone differ.
    options = EvaluateOptions(which=Which.BEST, deterministic=None, allow_plugins=allow_plugins)
    evaluated = evaluate_runs(left, options, lambda line: console.print(line, markup=False))
    for run, error in evaluated.failures.items():
        console.print(f"not played again: {relative(run)}: {error}", markup=False)
    if evaluated.is_stopped:
        raise KeyboardInterrupt


def _is_unplayed(run: Path) -> bool:
    """Return True if a run that is done has a best policy that has not been played again."""
    score = read_score(run)
    try:
        is_done = score is not None and run_directory.read_status(run)["status"] == Status.DONE
        return score is not None and is_done and evaluation.read(run, Which.BEST).get("step") != score.step
    except (UserError, OSError, ValueError):
        return False


def _place(directories: list[Path]) -> Path:
    """Return where a report is written: into the directory, or for several into a new one in their common folder."""
    distinct = list(dict.fromkeys(directories))
    if len(distinct) == 1:
        return distinct[0]
    name = "+".join(path.name for path in distinct)
    if len(name) > LONGEST_NAME:
        name = f"{distinct[0].name[:LONGEST_NAME]}+{len(distinct) - 1}-more"
    return reports.common_folder(distinct) / f"report-{name}"


def _number(option: str, value: str, example: str, least: float = -math.inf) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < least:
        least_number = f" of at least {least:g}" if math.isfinite(least) else ""
        raise UserError(f"This is no number{least_number}.", key=option, value=value, remedy=f"give {example}")
    return number


def _watch(
    study: Study, seconds: float, read: Callable[[], Study], write: Callable[..., object], console: Console
) -> Study:
    """Write the report every few seconds until all runs are over or Ctrl-C; return the last study that could be read.

    A pass that finds a file half written, or a full disk, is left out; the next one tries again.
    """
    try:
        while not study.is_over:
            console.print(reports.answer(study), markup=False)
            time.sleep(seconds)
            try:
                study = read()
                write(study, seconds)
            except UserError as error:
                console.print(f"not written this time: {error.problem}", markup=False)
    except KeyboardInterrupt:
        console.print("ended")
    return study


def _print(console: Console, study: Study) -> None:
    """Print the answer, the table of experiments, and every difference that is certain."""
    print_answer(console, study)
    for comparison in study.comparisons:
        if comparison.is_decided:
            console.print(comparison.sentence, markup=False)
