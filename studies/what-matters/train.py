"""Train the cells of choices that are missing, and save each: `train.py CHOICE ... [--environments NAME ...]`.

All choices are trained if none is named. A command that was stopped continues when it is given again. `--again` trains
the levels of claims that were contradicted, on other seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from choices import CHOICES, OTHER_SEEDS
from claims import contradicted
from data import missing, save
from environments import ENVIRONMENTS
from measures import measure
from plan import EPISODES, Cell, cells, config, settings

from acexp.config.run_identity import identity
from acexp.report.records import collect
from acexp.runs import run_directory
from acexp.runs.run_directory import Status

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.append(str(ROOT / "studies"))

from run import run_command  # noqa: E402  # the folder of the other studies is no package


@dataclass(frozen=True)
class Sweep:
    """One command, and the cells that it trains: levels that differ in the value of their last setting.

    Attributes:
        name: the name of its directory.
        command: what is run.
        cells: its cells.
        seeds: the seeds of each cell's runs, without gaps.
    """

    name: str
    command: str
    cells: tuple[Cell, ...]
    seeds: tuple[int, ...]


def sweeps(wanted: Sequence[Cell], seeds: Sequence[int]) -> Iterator[Sweep]:
    """Yield the sweeps that train what is missing of cells, which are of one choice in one environment."""
    for (given, key, missed), group in groupby(wanted, lambda cell: (*_split(_given(cell)), missing(cell, seeds))):
        if not missed:
            continue
        trained = tuple(group)
        first, last = missed[0], missed[-1]
        values = ",".join(_given(cell)[-1].partition("=")[2] for cell in trained)
        environment, choice = trained[0].environment, trained[0].choice
        name = f"what-matters-{environment.name}-{choice.name}-{choice.levels.index(trained[0].level)}"
        if first:
            name += f"-from-{first}"
        range_ = f"range({first},{last + 1})" if first else f"range({last + 1})"
        command = ("acexp -m", *given, f"{key}={values}", f"seed='{range_}'", f"name={name}")
        yield Sweep(name, " ".join(command), trained, tuple(range(first, last + 1)))


def _given(cell: Cell) -> list[str]:
    return settings(cell.environment, cell.choice, cell.level)


def _split(given: list[str]) -> tuple[tuple[str, ...], str]:
    """Return all overrides but the last one, and the key of that."""
    return tuple(given[:-1]), given[-1].partition("=")[0]


def train(wanted: Sequence[Cell], seeds: Sequence[int]) -> int:
    """Train and evaluate what is missing of cells of one choice in one environment; save each sweep when it is done.

    Returns the number of runs that failed. They are tried again by the next command.
    """
    n_failed = 0
    for sweep in sweeps(wanted, seeds):
        run_command(sweep.command, ROOT)
        folder = ROOT / "outputs" / "sweeps" / sweep.name
        run_command(f"acexp eval {folder.relative_to(ROOT)} --episodes {EPISODES}", ROOT)
        rows = dict(_rows(folder))
        for cell in sweep.cells:
            expected = [identity(config(cell.environment, cell.choice, cell.level, seed)) for seed in sweep.seeds]
            save(cell, [{"identity": each, **rows[each]} for each in expected if each in rows])
            n_failed += sum(each not in rows for each in expected)
    return n_failed


def _rows(folder: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield the identity and the row of each run that is done and evaluated, or has diverged."""
    for record in collect(folder).records:
        directory = folder / record.directory
        status = run_directory.read_status(directory)
        if record.status == Status.DIVERGED:
            yield status["identity"], {"seed": record.seed, "score": None}
        elif record.is_done and record.evaluated is not None:
            engine = json.loads((directory / "summary.json").read_text())["engine"]
            yield status["identity"], measure(record, directory, engine, status["torch_threads"])


def main() -> None:
    """Train what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("choices", nargs="*", metavar="CHOICE", help=", ".join(CHOICES))
    parser.add_argument("--environments", nargs="+", choices=ENVIRONMENTS, default=list(ENVIRONMENTS))
    parser.add_argument("--again", action="store_true", help="train contradicted claims on other seeds")
    options = parser.parse_args()
    if unknown := set(options.choices) - set(CHOICES):
        parser.error(f"there is no choice {unknown.pop()!r}: {', '.join(CHOICES)}")
    n_failed = 0
    for choice in [CHOICES[name] for name in options.choices or CHOICES]:
        for environment in [ENVIRONMENTS[name] for name in options.environments]:
            if options.again:
                n_failed += train(contradicted(environment, choice), OTHER_SEEDS)
            elif choice.concerns(environment):
                n_failed += train(cells(environment, choice), choice.seeds)
    if n_failed:
        sys.exit(f"{n_failed} runs failed, see the messages above; the others are saved")
    sys.stdout.write("All of it is saved. To write docs/what-matters.md: python studies/what-matters/answers.py\n")


if __name__ == "__main__":
    main()
