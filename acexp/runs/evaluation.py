"""How good a trained run is, in environments that its training has not used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from acexp.algorithm.assembly import evaluation_engine, evaluation_noise, useful_threads
from acexp.algorithm.policy import Policy, play
from acexp.core.estimators import Summary, summarize
from acexp.metrics import Recorder, tags
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
        torch_threads(useful_threads(configs[0], available_cores())),
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
        policy: The population's policy.
        runs: The members' runs, with resolved configs.
        recorder: Writes the results, and says how far training has come.
        is_on: Whether this process is the one that evaluates.
    """

    def __init__(self, policy: Policy, runs: Sequence[Run], recorder: Recorder, *, is_on: bool = True) -> None:
        self._policy, self._recorder = policy, recorder
        self._configs = [run.config for run in runs]
        self._settings = self._configs[0].eval
        self._evaluated_at = recorder.step
        self._is_on = is_on

    def evaluate_if_due(self) -> None:
        """Evaluate if an interval has passed."""
        every = self._settings.every
        if not self._is_on or every is None or self._recorder.step // every <= self._evaluated_at // every:
            return
        self._evaluated_at = self._recorder.step
        # The same seeds and the same noise each time: evaluations differ by what was learned. Not every engine can
        # begin its seeds anew, so it is opened anew.
        noise = evaluation_noise(self._configs)
        deterministic = self._settings.deterministic
        engine = evaluation_engine(self._configs, min(self._settings.episodes, MOST_ENVIRONMENTS))
        try:
            played = play(self._policy, engine, self._settings.episodes, None if deterministic else noise)
        finally:
            engine.close()
        for member, episodes in enumerate(played):
            returns = summarize([episode.episode_return for episode in episodes])
            lengths = summarize([episode.length for episode in episodes])
            self._recorder.note(member, tags.evaluation(returns, lengths))


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
