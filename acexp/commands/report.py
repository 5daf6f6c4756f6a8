"""`acexp report`: compares runs and writes the report."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from acexp import report as reports
from acexp.commands.console import console_for_tables, relative
from acexp.report import Question
from acexp.system.files import CHOOSE_OUT, unwritable


def report(arguments: list[str]) -> int:
    """Write the report of every run in or below the directory that is given, and print its conclusions."""
    parser = argparse.ArgumentParser(prog="acexp report", description="Compare runs, with intervals.")
    parser.add_argument("directory", type=Path, help="the directory of a sweep or a run, or one that contains several")
    parser.add_argument("--baseline", metavar="FACTOR=LEVEL,...", help="the cell to compare with: arch=shared")
    parser.add_argument(
        "--metric",
        help="evaluation, training (the last 100 episodes), area (the mean return over training), or a tag; "
        "by default evaluation if all have one",
    )
    parser.add_argument("--threshold", type=_finite, help="the return that counts as having learned")
    parser.add_argument("--out", type=Path, help="where to write the report (the directory itself)")
    options = parser.parse_args(arguments)
    directory: Path = options.directory.resolve()
    study = reports.study(directory, Question(options.baseline, options.metric, options.threshold))
    target = (options.out or directory).resolve()
    try:
        written = reports.write(target, study)
    except OSError as error:
        raise unwritable("The report", error, target, CHOOSE_OUT) from error
    console = console_for_tables()
    for comparison in study.comparisons:
        console.print(comparison.sentence, markup=False)
    console.print("\n".join(f"  {relative(path)}" for path in written[:2]), markup=False)
    console.print(f"  {relative(written[-1].parent)}/*.csv", markup=False)
    return 0


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError("a threshold is a number")
    return value
