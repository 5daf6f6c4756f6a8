"""Trains, evaluates and compares the runs of studies, and keeps what the page shows: `run.py NAME ...`.

A name is a study's (`halfcheetah-clipping`), an environment's or a question's. Runs that are done already stay.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
from questions import STUDIES, Study

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(__file__).with_name("data")
KEPT = ("results", "comparisons", "runs", "curves", "gradients")
SOME_FAILED = 1
"""The exit code of a sweep that has trained all that could be trained."""
LEFT_OUT = ["directory", "steps/s"]
"""Columns that say nothing about what was learned."""


def run(study: Study) -> None:
    """All of a study's commands, from the repository's folder. What is stopped or refused ends it."""
    for command in study.commands:
        sys.stdout.write(f"$ {command}\n")
        sys.stdout.flush()
        process = subprocess.Popen([sys.executable, "-m", *shlex.split(command)], cwd=ROOT)
        try:
            code = process.wait()
        except KeyboardInterrupt:
            code = process.wait()  # Ctrl-C reached it as well, and it saves its runs
        if code not in (0, SOME_FAILED):
            sys.exit(code)


def keep(study: Study) -> None:
    """Copy the reports' tables, small enough for the repository; those of the same runs differ in comparisons alone."""
    target = DATA / study.name
    target.mkdir(parents=True, exist_ok=True)
    for name in KEPT:
        tables = [
            read(path).drop(columns=LEFT_OUT, errors="ignore").assign(of=options.partition("--metric ")[2] or "score")
            for options, place in study.reports.items()
            if (path := ROOT / place / "report" / f"{name}.csv").exists()
        ]
        if tables:
            kept = pd.concat(tables) if name == "comparisons" else tables[0].drop(columns="of")
            kept.to_csv(target / f"{name}.csv", index=False, float_format="%.6g", lineterminator="\n")


def read(path: Path) -> pd.DataFrame:
    """A table, whose words (`none`) stay words."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def main() -> None:
    """Run what is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+")
    names = parser.parse_args().names
    for name in names:
        chosen = [s for s in STUDIES.values() if name in (s.name, s.environment, s.question)]
        if not chosen:
            parser.error(f"there is no study {name!r}: {', '.join(STUDIES)}")
        for study in chosen:
            run(study)
            keep(study)


if __name__ == "__main__":
    main()
