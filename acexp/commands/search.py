"""A search, as the command line asks for it with hydra/sweeper=optuna."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

from rich.console import Console

from acexp.commands.sweep_view import SweepView
from acexp.config.places import place_of
from acexp.config.search import Search
from acexp.core.errors import UserError
from acexp.runs import run_directory
from acexp.runs.outcome import Outcome, previous_outcome
from acexp.sweeps.fleet import Fleet
from acexp.sweeps.runs import SweepRuns
from acexp.sweeps.search import Ran, rungs_of
from acexp.sweeps.search import search as run_search
from acexp.sweeps.trials import Trials
from acexp.system.files import unwritable


def search(console: Console, wanted: Search, arguments: Sequence[str], outcomes: list[Outcome]) -> int | None:
    """Search until there are enough trials; returns the number of the signal that ended it, None if none did.

    `outcomes` takes how the runs ended.
    """
    fleet = Fleet(wanted.launcher)
    latest: dict[str, Outcome] = {}
    signal_number: int | None = None
    n_runs = 0

    def train(choices: Sequence[Mapping[str, object]], until: int | None) -> list[list[Ran]]:
        nonlocal signal_number, n_runs
        distinct = list({repr(sorted(chosen.items())): chosen for chosen in choices}.values())
        jobs = wanted.jobs(distinct, n_runs)
        n_runs += len(jobs.runs)
        runs = SweepRuns(jobs)
        work, earlier = runs.left_to_do()
        waiting = {run for run, step in work.items() if until is not None and step is not None and step >= until}
        earlier |= {run: previous_outcome(runs.directory(run)) for run in waiting}
        work = {run: step for run, step in work.items() if run not in waiting}
        with SweepView(
            console, [run.overrides for run in jobs.runs], [until or config.total_steps for config in runs.configs]
        ) as view:
            view.skipped(earlier)
            results, signal_number = fleet.train(runs, view, work, until=until)
        ran = [Ran(earlier.get(run, outcome), runs.directory(run)) for run, outcome in enumerate(results)]
        latest.update({str(one.directory): one.outcome for one in ran if one.outcome is not None})
        n_seeds = len(wanted.space.seeds)
        return [ran[i * n_seeds : (i + 1) * n_seeds] for i in map(distinct.index, choices)]

    folder = wanted.jobs(wanted.space.corners[:1]).directory(0).parent
    with contextlib.suppress(OSError):
        run_directory.note_sweep(folder, [], arguments)
    rungs = rungs_of(wanted.check(), wanted.config)
    try:
        with Trials(wanted.config, wanted.space, folder, rungs) as trials, fleet:
            run_search(trials, rungs, train, lambda line: console.print(line, markup=False))
    except UserError as error:
        raise error.at(place_of(error.key, arguments)) from error
    except OSError as error:
        raise unwritable("The search's folder", error, folder, key="hydra.sweep.dir") from error
    finally:
        outcomes.extend(latest.values())
    return signal_number
