"""How good a trained run is, in environments that its training has not used."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from acexp.algorithm.assembly import evaluation_engine, evaluation_noise, useful_threads
from acexp.algorithm.policy import play
from acexp.algorithm.population import Population
from acexp.config import essence, to_yaml
from acexp.core.estimators import Summary, summarize
from acexp.core.stopping import ShouldStop, StopRequestedError, never
from acexp.engines import FaultyEnvironmentError
from acexp.metrics import Recorder, read_series, tags
from acexp.runs import run_directory
from acexp.runs.awaiting import Patience
from acexp.runs.run import Run
from acexp.runs.saved_policy import (
    Score,
    Which,
    member_tensors,
    open_policy,
    read_score,
    saved_run,
    write_best,
)
from acexp.system.cores import available_cores, compute_threads
from acexp.system.files import read_json, write_json

MOST_ENVIRONMENTS = 32
FILE = "eval.json"
BEST_FILE = "eval.best.json"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The episodes that a policy played.

    Attributes:
        which: Which policy of the run it is. The best one has played in environments that did not choose it.
        step: Env steps that the policy had been trained for.
        is_deterministic: Whether it took its most likely actions rather than sampled ones.
        returns: Return of each episode.
        lengths: Length of each episode, in env steps.
        infos: The numbers in the last info of each episode that `log.info` names.
    """

    which: Which
    step: int
    is_deterministic: bool
    returns: tuple[float, ...]
    lengths: tuple[int, ...]
    infos: tuple[Mapping[str, float], ...] = ()

    @property
    def summary(self) -> Summary:
        """Summary of the returns."""
        return summarize(self.returns)

    @property
    def length(self) -> Summary:
        """Summary of the lengths."""
        return summarize(self.lengths)


def evaluate(
    directory: Path,
    n_episodes: int,
    *,
    deterministic: bool,
    which: Which = Which.LAST,
    allow_plugins: bool = False,
) -> Evaluation:
    """Play a run's saved policy with its normalizer's statistics frozen; raises UserError where there is none."""
    run = saved_run(directory, which, allow_plugins=allow_plugins)
    return evaluate_together([run], n_episodes, deterministic, which)[0]


def evaluate_together(
    runs: Sequence[Run],
    n_episodes: int,
    deterministic: bool,
    which: Which = Which.LAST,
    should_stop: ShouldStop = never,
) -> list[Evaluation]:
    """Evaluate runs of equal structure side by side; each plays the episodes that it would have played alone.

    The best policies, which evaluations during training have chosen, play in environments with other seeds than those:
    the score by which a policy is chosen from many is too high on average. StopRequestedError is raised once
    `should_stop` returns True.
    """
    again = which is Which.BEST
    configs = [run.config for run in runs]
    # A run's own number of engine threads was chosen for the machine and the moment that it was trained in.
    wide = [replace(config, engine=replace(config.engine, threads=available_cores())) for config in configs]
    with (
        open_policy(runs, evaluation_engine(wide, min(n_episodes, MOST_ENVIRONMENTS), again=again), which) as saved,
        compute_threads(useful_threads(saved.policy, available_cores())),
    ):
        noise = None if deterministic else evaluation_noise(configs, again=again)
        saved.engine.should_stop = should_stop
        played = play(saved.policy, saved.engine, n_episodes, noise)
    return [
        Evaluation(
            which=which,
            step=step,
            is_deterministic=deterministic,
            returns=tuple(episode.episode_return for episode in episodes),
            lengths=tuple(episode.length for episode in episodes),
            infos=tuple(episode.info for episode in episodes),
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
        self._directories = [run.directory for run in runs]
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
        self._best = [_best_mean(run.directory, recorder.step) for run in runs] if self._keeps_best else []

    @property
    def _keeps_best(self) -> bool:
        return self._settings.keep_best and self._is_on

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
            if self._keeps_best and member not in self._recorder.divergences:
                # Before it is logged: a run that is killed in between is evaluated again.
                self._keep_if_best(member, Score(self._recorder.step, returns.mean, returns.n))
            self._recorder.note(member, tags.evaluation(returns, lengths, [episode.info for episode in episodes]))

    def _keep_if_best(self, member: int, score: Score) -> None:
        """Keep a member's policy if no evaluation before has had so high a mean return; of equal ones, the first."""
        if math.isfinite(score.mean) and score.mean > self._best[member]:
            config = to_yaml(essence(self._configs[member]))
            write_best(self._directories[member], member_tensors(self._policy, member), score, config)
            self._best[member] = score.mean


def _evaluated_at(step: int, runs: Sequence[Run]) -> set[int]:
    """Return the numbers of the runs whose logs hold an evaluation at an env step."""
    logs = [read_series(run.directory / run_directory.METRICS).get(tags.EVALUATED_EPISODES) for run in runs]
    return {m for m, series in enumerate(logs) if series is not None and step in series.steps}


def _best_mean(directory: Path, step: int) -> float:
    """Return the mean return by which a run's best policy up to an env step was chosen; -inf if there is none."""
    score = read_score(directory)
    return -math.inf if score is None or score.step > step else score.mean


def write(directory: Path, evaluation: Evaluation) -> None:
    """Write eval.json beside the run, or eval.best.json for its best policy; raises OSError where that fails."""
    score = read_score(directory) if evaluation.which is Which.BEST else None
    chosen = {} if score is None else {"chosen_by": {"return_mean": score.mean, "episodes": score.n_episodes}}
    content = {
        "step": evaluation.step,
        **chosen,
        "deterministic": evaluation.is_deterministic,
        "return": evaluation.summary._asdict(),
        "length": evaluation.length._asdict(),
        **tags.info(evaluation.infos),
        "returns": list(evaluation.returns),
        "lengths": list(evaluation.lengths),
    }
    write_json(directory / file_of(evaluation.which), content)


def read(directory: Path, which: Which = Which.LAST) -> dict[str, Any]:
    """Return the content of eval.json or eval.best.json as `write` writes it, empty if there is none.

    Raises OSError or ValueError if it cannot be read.
    """
    return read_json(directory / file_of(which))


def file_of(which: Which) -> str:
    """Return the name of the file with the evaluation of a run's last or best policy."""
    return FILE if which is Which.LAST else BEST_FILE
