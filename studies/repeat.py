"""Train one run of each study again and compare its score with the saved one: `repeat.py [NAME ...]`, half an hour.

The run is the first seed of the study's first cell. With the engine, the versions and the type of processor that the
study was made with, the scores are equal; with others, they differ as much as seeds do.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from questions import STUDIES, Study, values
from scored import EPISODES, factors, has, load

from acexp.core.numbers import number
from acexp.report.table import Value, to_markdown
from acexp.system.cores import available_cores

sys.path.append(str(Path(__file__).with_name("what-matters")))

from choices import CHOICES  # the folder of that study is no package
from data import read, saved
from environments import ENVIRONMENTS
from plan import EPISODES as FEW_EPISODES
from plan import cells, settings

DIGITS = 6
"""The number of digits that are saved of a score."""


@dataclass(frozen=True)
class Repeat:
    """A run to repeat.

    Attributes:
        study: the name of its study.
        overrides: its overrides.
        seed: its seed.
        n_episodes: the number of episodes of its evaluation.
        deterministic: whether these take the most likely actions.
        scores: the saved scores of its cell, by seed.
    """

    study: str
    overrides: tuple[str, ...]
    seed: int
    n_episodes: int
    deterministic: bool
    scores: pd.Series


def of_study(study: Study) -> Repeat:
    """Return the first run of a study's first cell."""
    given = dict(values(override) for override in shlex.split(study.sweeps[0]) if not override.startswith("seed="))
    chosen = {key: first for key, (first, *_) in given.items()}
    runs = load(study, "runs")
    for factor in factors(runs):
        if factor in chosen:
            runs = runs[runs[factor].astype(str) == chosen[factor]]
    scores = runs.set_index("seed")["evaluation"]
    overrides = (f"experiment={study.preset}", *(f"{key}={value}" for key, value in chosen.items()))
    return Repeat(study.name, overrides, int(scores.index[0]), EPISODES, study.deterministic, scores)


def of_what_matters() -> Iterator[Repeat]:
    """Yield the first run of the preset in each environment of the study of what matters."""
    choice = CHOICES["preset"]
    for environment in ENVIRONMENTS.values():
        (cell,) = cells(environment, choice)
        if (path := saved(cell)) is not None:
            scores = read(path)["score"]
            overrides = tuple(settings(environment, choice, cell.level))
            name = f"what-matters-{environment.name}"
            yield Repeat(name, overrides, int(scores.index[0]), FEW_EPISODES, True, scores)


def repeated(run: Repeat) -> float:
    """Train and evaluate a run again, and return its score."""
    with tempfile.TemporaryDirectory() as directory:
        _acexp(*run.overrides, f"seed={run.seed}", f"hydra.run.dir={directory}/run")
        sampled = [] if run.deterministic else ["--stochastic"]
        _acexp("eval", f"{directory}/run", "--episodes", str(run.n_episodes), *sampled)
        return float(json.loads(Path(directory, "run", "eval.json").read_text())["return"]["mean"])


def _acexp(*arguments: str) -> None:
    sys.stderr.write(f"$ acexp {shlex.join(arguments)}\n")
    subprocess.run([sys.executable, "-m", "acexp", *arguments], check=True, stdout=subprocess.DEVNULL)


def verdict(run: Repeat, score: float) -> str:
    """Return whether a repeated score is the saved one, and otherwise whether it is among those of the cell's seeds."""
    if f"{score:.{DIGITS}g}" == f"{run.scores[run.seed]:.{DIGITS}g}":
        return "equal"
    low, high = run.scores.min(), run.scores.max()
    return "another score, among those of its seeds" if low <= score <= high else "outside of its seeds"


def main(names: Sequence[str] | None = None) -> None:
    """Repeat a run of each study that is named; of all but Pong's, which take an hour each, if none is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    names = parser.parse_args(names).names
    known = [*(of_study(study) for study in STUDIES.values() if has(study, "runs")), *of_what_matters()]
    if unknown := [name for name in names if not any(run.study.startswith(name) for run in known)]:
        parser.error(f"there is no study {unknown[0]!r}: {', '.join(run.study for run in known)}")
    runs = [
        run
        for run in known
        if any(run.study.startswith(name) for name in names) or (not names and not run.study.startswith("pong"))
    ]
    # The networks of a single run compute with one thread, so that each core can train one.
    with ThreadPoolExecutor(available_cores()) as pool:
        scores = list(pool.map(repeated, runs))
    rows: list[list[Value]] = []
    for run, score in zip(runs, scores, strict=True):
        seeds = f"{number(run.scores.min())} to {number(run.scores.max())}"
        rows.append([run.study, str(run.seed), float(run.scores[run.seed]), score, seeds, verdict(run, score)])
    columns = ("study", "seed", "saved score", "repeated", "its cell's seeds", "")
    sys.stdout.write(to_markdown(columns, rows) + "\n")


if __name__ == "__main__":
    main()
