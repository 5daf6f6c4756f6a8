"""Train, evaluate and compare the runs of studies, and save the tables that the page shows: `run.py NAME ...`.

NAME is a study (`halfcheetah-clipping`), an environment or a question. Runs that are done are not trained again.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
from questions import STUDIES, Study
from scored import DATA, read

from acexp.report import Question, study

ROOT = Path(__file__).resolve().parent.parent
SAVED = ("runs", "gradients", "settings", "versions")
"""The tables of a report that are saved: what was run, and the numbers of each run, nothing derived from these."""

SOME_FAILED = 1
"""The exit code of a sweep in which some runs failed and the others are done."""
OMITTED = ["directory", "steps/s"]
"""Columns that say nothing about what was learned."""


def run(chosen: Study) -> None:
    """Run all commands of a study in the repository's folder; exit if one of them is stopped or refused."""
    for command in chosen.commands:
        run_command(command, ROOT)


def run_command(command: str, folder: Path) -> None:
    """Show a command and run it in a folder; exit if it is stopped or refused."""
    sys.stdout.write(f"$ {command}\n")
    sys.stdout.flush()
    process = subprocess.Popen([sys.executable, "-m", *shlex.split(command)], cwd=folder)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        code = process.wait()  # Ctrl-C reached the process as well, which saves its runs
    if code not in (0, SOME_FAILED):
        sys.exit(code)


def save_tables(chosen: Study) -> None:
    """Save the numbers of each run of a study, from which the page is made, small enough for the repository."""
    target = DATA / chosen.name
    target.mkdir(parents=True, exist_ok=True)
    report = ROOT / next(iter(chosen.reports.values())) / "report"
    tables = {name: read(report / f"{name}.csv") for name in SAVED}
    tables["runs"] = with_identities(tables["runs"], ROOT / chosen.directory).drop(columns=OMITTED, errors="ignore")
    tables["curves"] = curves(ROOT / chosen.directory)
    for name, table in tables.items():
        table.to_csv(target / f"{name}.csv", index=False, float_format="%.6g", lineterminator="\n")


def curves(directory: Path) -> pd.DataFrame:
    """Return the learning curve of each run of a study, in a column for each seed."""
    found = study(directory, Question())
    return pd.concat(
        pd.DataFrame(
            {
                "environment": cell.environment,
                "experiment": cell.name,
                "step": curve.steps.round().astype(int),
                **{f"seed {seed}": values for seed, values in zip(curve.seeds, curve.values, strict=True)},
            }
        )
        for cell, curve in zip(found.grid, found.curves, strict=True)
    )


def with_identities(table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Add what identifies each run to a table of runs, so that their settings can be recognized later.

    The directories in the table are relative to `folder`.
    """
    statuses = [json.loads((folder / place / "status.json").read_text()) for place in table["directory"]]
    return table.assign(identity=[status["identity"] for status in statuses])


def main() -> None:
    """Run the studies that are named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+")
    names = parser.parse_args().names
    for name in names:
        chosen = [s for s in STUDIES.values() if name in (s.name, s.environment, s.question)]
        if not chosen:
            parser.error(f"there is no study {name!r}: {', '.join(STUDIES)}")
        for each in chosen:
            run(each)
            save_tables(each)


if __name__ == "__main__":
    main()
