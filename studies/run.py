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

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(__file__).with_name("data")
SAVED = ("results", "comparisons", "runs", "curves", "gradients")
SOME_FAILED = 1
"""The exit code of a sweep in which some runs failed and the others are done."""
OMITTED = ["directory", "steps/s"]
"""Columns that say nothing about what was learned."""


def run(study: Study) -> None:
    """Run all commands of a study in the repository's folder; exit if one of them is stopped or refused."""
    for command in study.commands:
        sys.stdout.write(f"$ {command}\n")
        sys.stdout.flush()
        process = subprocess.Popen([sys.executable, "-m", *shlex.split(command)], cwd=ROOT)
        try:
            code = process.wait()
        except KeyboardInterrupt:
            code = process.wait()  # Ctrl-C reached the process as well, which saves its runs
        if code not in (0, SOME_FAILED):
            sys.exit(code)


def save_tables(study: Study) -> None:
    """Save the tables of a study's reports, small enough for the repository.

    Only `comparisons` has the rows of all reports, because the other tables are equal for the same runs.
    """
    target = DATA / study.name
    target.mkdir(parents=True, exist_ok=True)
    for name in SAVED:
        tables = [
            with_identities(read(path), ROOT / "outputs" / "sweeps" / study.name)
            .drop(columns=OMITTED, errors="ignore")
            .assign(of=options.partition("--metric ")[2] or "score")
            for options, place in study.reports.items()
            if (path := ROOT / place / "report" / f"{name}.csv").exists()
        ]
        if tables:
            saved = pd.concat(tables) if name == "comparisons" else tables[0].drop(columns="of")
            saved.to_csv(target / f"{name}.csv", index=False, float_format="%.6g", lineterminator="\n")


def with_identities(table: pd.DataFrame, sweep: Path) -> pd.DataFrame:
    """Add what identifies each run of a sweep to a table of its runs, so that their settings can be recognized later.

    The directories in the table are relative to the sweep's.
    """
    if "directory" not in table:
        return table
    statuses = [json.loads((sweep / place / "status.json").read_text()) for place in table["directory"]]
    return table.assign(identity=[status["identity"] for status in statuses])


def read(path: Path) -> pd.DataFrame:
    """Read a CSV file, in which words such as `none` stay words."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def main() -> None:
    """Run the studies that are named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+")
    names = parser.parse_args().names
    for name in names:
        chosen = [s for s in STUDIES.values() if name in (s.name, s.environment, s.question)]
        if not chosen:
            parser.error(f"there is no study {name!r}: {', '.join(STUDIES)}")
        for study in chosen:
            run(study)
            save_tables(study)


if __name__ == "__main__":
    main()
