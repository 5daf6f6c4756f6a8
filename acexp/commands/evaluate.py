"""`acexp eval`: evaluates trained runs in environments that their training has not used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from acexp.algorithm.assembly import check_environments
from acexp.commands.arguments import Arguments, at_least_one
from acexp.commands.console import EXIT_INTERRUPTED
from acexp.commands.screen import console_for_tables, relative
from acexp.commands.tables import print_table
from acexp.commands.which import add_which
from acexp.config import structure
from acexp.core.errors import UserError
from acexp.core.stopping import never
from acexp.engines import AUTO
from acexp.metrics import tags
from acexp.runs import evaluation
from acexp.runs.awaiting import Patience
from acexp.runs.run import Run
from acexp.runs.saved_policy import Which, saved_run
from acexp.runs.writers import add_to_logs
from acexp.sweeps.sweep_directory import runs_in
from acexp.system.files import unwritable

EXIT_FAILED = 1
AT_ONCE = 16
"""Number of runs that are evaluated together; more would take more memory and hardly be faster."""
EPISODES = 100
COLUMNS = ("run", "n", "mean", "std", "median", "iqm", "min", "max", "length")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions:
    """How runs are evaluated.

    Attributes:
        n_episodes: Number of episodes of each run.
        which: Which policy of each run plays.
        deterministic: Whether the most likely actions are taken rather than sampled ones; None if each run's config
            says it, as it does for the evaluations during training.
        allow_plugins: Whether the modules that the runs' configs name may be imported.
    """

    n_episodes: int = EPISODES
    which: Which = Which.LAST
    deterministic: bool | None = True
    allow_plugins: bool = False


@dataclass(slots=True)
class Evaluated:
    """The runs that were evaluated so far, those that could not be, and whether Ctrl-C left the others out."""

    found: dict[Path, evaluation.Evaluation] = field(default_factory=dict)
    failures: dict[Path, UserError] = field(default_factory=dict)
    is_stopped: bool = False


def evaluate(arguments: list[str]) -> int:
    """Evaluate the run, or every run of the sweep, in the directory that is given."""
    parser = Arguments(prog="acexp eval", description="Evaluate trained runs.")
    parser.add_argument("directory", type=Path, help="the directory of a run or a sweep")
    parser.add_argument("--episodes", type=at_least_one("episode"), default=EPISODES, help="episodes per run (100)")
    add_which(parser)
    parser.add_argument("--stochastic", action="store_true", help="sample actions rather than take the most likely")
    parser.add_argument("--allow-plugins", action="store_true", help="import the modules that the runs' configs name")
    options = parser.parse_args(arguments)
    console = console_for_tables()
    directories = runs_in(options.directory.resolve())
    evaluated = evaluate_runs(
        directories,
        EvaluateOptions(
            n_episodes=options.episodes,
            which=options.which,
            deterministic=not options.stochastic,
            allow_plugins=options.allow_plugins,
        ),
        lambda line: console.print(line, markup=False),
    )
    found, failures = evaluated.found, evaluated.failures
    if directories == [options.directory.resolve()] and failures:
        raise failures[directories[0]]
    infos = {run: tags.info(each.infos) for run, each in found.items()}
    columns = (*COLUMNS, *dict.fromkeys(tag for run in infos for tag in infos[run]))
    rows = []
    for run in directories:
        if run in found:
            s = found[run].summary
            numbers = [f"{x:,.1f}" for x in (s.mean, s.std, s.median, s.iqm, s.min, s.max, found[run].length.mean)]
            logged = [f"{infos[run][tag]:.3g}" if tag in infos[run] else "" for tag in columns[len(COLUMNS) :]]
            rows.append([run.name, str(s.n), *numbers, *logged])
    if found or not evaluated.is_stopped:
        print_table(console, columns, rows, right=columns[1:])
    for run, error in failures.items():
        console.print(f"not evaluated: {relative(run)}: {error.problem}", markup=False)
    if evaluated.is_stopped:
        left = len(directories) - len(found) - len(failures)
        console.print(f"interrupted: {len(found)} runs were evaluated and {left} were not", markup=False)
        return EXIT_INTERRUPTED
    return EXIT_FAILED if failures else 0


def evaluate_runs(directories: Sequence[Path], options: EvaluateOptions, note: Callable[[str], None]) -> Evaluated:
    """Evaluate runs and write the results into their directories and logs, until all are evaluated, or Ctrl-C.

    `note` shows a line that the user should read.
    """
    evaluated = Evaluated()
    try:
        groups = _groups(directories, options, evaluated.failures)
        for remark in _remarks(groups):
            note(f"{remark} The episodes may be played in another environment than that of training.")
        n_runs, each = sum(map(len, groups)), f"{options.n_episodes} episodes"
        line = f"1 run plays {each}" if n_runs == 1 else f"{n_runs} runs play {each} each"
        waiting = Patience(never, note, f"evaluation: {line}")
        for group in groups:
            _evaluate(group, options, evaluated, note, waiting)
    except KeyboardInterrupt:
        evaluated.is_stopped = True
    return evaluated


def _groups(directories: Sequence[Path], options: EvaluateOptions, failures: dict[Path, UserError]) -> list[list[Run]]:
    """Return groups of runs that can be evaluated together, at most AT_ONCE in each."""
    groups: dict[str, list[Run]] = {}
    for directory in directories:
        try:
            run = saved_run(directory, options.which, allow_plugins=options.allow_plugins)
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


def _evaluate(
    runs: Sequence[Run],
    options: EvaluateOptions,
    evaluated: Evaluated,
    note: Callable[[str], None],
    waiting: Patience,
) -> None:
    """Evaluate runs together and write the results, or one by one if that fails, so that only some of them fail."""
    try:
        deterministic = runs[0].config.eval.deterministic if options.deterministic is None else options.deterministic
        results = evaluation.evaluate_together(runs, options.n_episodes, deterministic, options.which, waiting)
        for run, found in zip(runs, results, strict=True):
            _write(run, found, note)
    except UserError as error:
        if len(runs) == 1:
            evaluated.failures[runs[0].directory] = error
            return
        for run in runs:
            _evaluate([run], options, evaluated, note, waiting)
        return
    evaluated.found |= {run.directory: found for run, found in zip(runs, results, strict=True)}


def _write(run: Run, found: evaluation.Evaluation, note: Callable[[str], None]) -> None:
    try:
        evaluation.write(run.directory, found)
        part = "eval" if found.which is Which.LAST else "best"
        add_to_logs(run, found.step, tags.evaluation(found.summary, found.length, found.infos, part), note)
    except OSError as error:
        raise unwritable("The evaluation", error, run.directory) from error
