"""How good a trained run is, in environments that its training has not used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from acexp.algorithm.assembly import evaluation_engine, evaluation_noise, useful_threads
from acexp.algorithm.policy import play
from acexp.algorithm.population import Population
from acexp.core.estimators import Summary, summarize
from acexp.core.stopping import ShouldStop, StopRequestedError
from acexp.engines import FaultyEnvironmentError
from acexp.metrics import Recorder, read_series, tags
from acexp.runs import run_directory
from acexp.runs.awaiting import Patience
from acexp.runs.run import Run
from acexp.runs.saved_policy import open_policy, saved_run
from acexp.system.cores import available_cores, torch_threads
from acexp.system.files import read_json, write_json

MOST_ENVIRONMENTS = 32
FILE = "eval.json"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The episodes that a policy played.

    Attributes:
        step: Env steps that the policy had been trained for.
        is_deterministic: Whether it took its most likely actions rather than sampled ones.
        returns: Return of each episode.
        lengths: Length of each episode, in env steps.
    """

    step: int
    is_deterministic: bool
    returns: tuple[float, ...]
    lengths: tuple[int, ...]

    @property
    def summary(self) -> Summary:
        """Summary of the returns."""
        return summarize(self.returns)

    @property
    def length(self) -> Summary:
        """Summary of the lengths."""
        return summarize(self.lengths)


def evaluate(directory: Path, n_episodes: int, *, deterministic: bool, allow_plugins: bool = False) -> Evaluation:
    """Play a run's saved policy with its normalizer's statistics frozen; raises UserError where there is none."""
    return evaluate_together([saved_run(directory, allow_plugins=allow_plugins)], n_episodes, deterministic)[0]


def evaluate_together(runs: Sequence[Run], n_episodes: int, deterministic: bool) -> list[Evaluation]:
    """Evaluate runs of equal structure side by side; each plays the episodes that it would have played alone."""
    configs = [run.config for run in runs]
    # A run's own number of engine threads was chosen for the machine and the moment that it was trained in.
    wide = [replace(config, engine=replace(config.engine, threads=available_cores())) for config in configs]
    with (
        open_policy(runs, evaluation_engine(wide, min(n_episodes, MOST_ENVIRONMENTS))) as saved,
        torch_threads(useful_threads(saved.policy, available_cores())),
    ):
        noise = None if deterministic else evaluation_noise(configs)
        played = play(saved.policy, saved.engine, n_episodes, noise)
    return [
        Evaluation(
            step=step,
            is_deterministic=deterministic,
            returns=tuple(episode.episode_return for episode in episodes),
            lengths=tuple(episode.length for episode in episodes),
        )
        for step, episodes in zip(saved.steps, played, strict=True)
    ]


class PeriodicEvaluation:
    """Evaluates the members of a population while they train, without touching anything that training depends on.

    Args:
        population: The population. Of several processes, the one of rank 0 evaluates.
        runs: The members' runs, with resolved configs. What their logs hold already is not written again.
        recorder: Writes the results, and says how far training has come.
        say: Prints a line, if an evaluation takes long.
    """

    def __init__(
        self, population: Population, runs: Sequence[Run], recorder: Recorder, say: Callable[[str], None]
    ) -> None:
        self._policy, self._recorder, self._say = population.policy, recorder, say
        self._is_on = not population.process_group.rank
        self._configs = [run.config for run in runs]
        self._settings = self._configs[0].eval
        # A run may have been killed, or left, after its last update and before the evaluation.
        before = recorder.step - self._configs[0].algo.n_steps * self._configs[0].algo.n_envs
        self._logged: set[int] = set()
        self._evaluated_at = max(0, before)
        if self.is_due:
            self._logged = population.process_group.from_rank_zero(lambda: _evaluated_at(recorder.step, runs))
        if len(self._logged | recorder.divergences.keys()) == len(runs):
            self._evaluated_at = recorder.step

    @property
    def is_due(self) -> bool:
        """Whether an interval has passed that was not evaluated yet; the same in all processes."""
        every, step = self._settings.every, self._recorder.step
        return every is not None and step // every > self._evaluated_at // every

    def evaluate(self, should_stop: ShouldStop) -> None:
        """Evaluate, if this is the process that does; once `should_stop` returns True it is left, and stays due."""
        if self._is_on:
            line = (
                f"evaluation at env step {self._recorder.step:,}: {self._settings.episodes} episodes are being played"
            )
            try:
                self._evaluate(Patience(should_stop, self._say, line))
            except StopRequestedError:
                return
        self._evaluated_at, self._logged = self._recorder.step, set()

    def _evaluate(self, should_stop: ShouldStop) -> None:
        # The same seeds and the same noise each time: evaluations differ by what was learned. Not every engine can
        # begin its seeds anew, so it is opened anew.
        noise = evaluation_noise(self._configs)
        deterministic = self._settings.deterministic
        n_envs = min(self._settings.episodes, MOST_ENVIRONMENTS)
        engine = evaluation_engine(self._configs, n_envs)
        engine.should_stop = should_stop
        try:
            played = play(self._policy, engine, self._settings.episodes, None if deterministic else noise)
        except FaultyEnvironmentError as error:
            error.member = None if error.index is None else error.index // n_envs
            raise
        finally:
            engine.close()
        for member, episodes in enumerate(played):
            if member in self._logged:
                continue
            returns = summarize([episode.episode_return for episode in episodes])
            lengths = summarize([episode.length for episode in episodes])
            self._recorder.note(member, tags.evaluation(returns, lengths))


def _evaluated_at(step: int, runs: Sequence[Run]) -> set[int]:
    """Return the numbers of the runs whose logs hold an evaluation at an env step."""
    logs = [read_series(run.directory / run_directory.METRICS).get(tags.EVALUATED_EPISODES) for run in runs]
    return {m for m, series in enumerate(logs) if series is not None and step in series.steps}


def write(directory: Path, evaluation: Evaluation) -> None:
    """Write eval.json beside the run; raises OSError where that fails."""
    content = {
        "step": evaluation.step,
        "deterministic": evaluation.is_deterministic,
        "return": evaluation.summary._asdict(),
        "length": evaluation.length._asdict(),
        "returns": list(evaluation.returns),
        "lengths": list(evaluation.lengths),
    }
    write_json(directory / FILE, content)


def read(directory: Path) -> dict[str, Any]:
    """Return the content of eval.json as `write` writes it, empty if there is none.

    Raises OSError or ValueError if it cannot be read.
    """
    return read_json(directory / FILE)
