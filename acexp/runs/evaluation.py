"""Layer 5: how good a trained run is, in environments that it has never seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from acexp.algorithm.assembly import build_policy, evaluation_engine, evaluation_noise, useful_threads
from acexp.algorithm.policy import Policy, play
from acexp.config import RunConfig, from_yaml
from acexp.core.errors import UserError
from acexp.core.estimators import Summary, summarize
from acexp.metrics import Recorder, tags
from acexp.runs import run_directory
from acexp.runs.checkpoint import POLICY
from acexp.system.cores import available_cores, torch_threads
from acexp.system.files import write_json

MOST_ENVIRONMENTS = 32
FILE = "eval.json"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a policy reached.

    Attributes:
        step: env steps that it had been trained for.
        is_deterministic: whether it took its most likely actions rather than sampled ones.
        returns, lengths: of each episode.
    """

    step: int
    is_deterministic: bool
    returns: tuple[float, ...]
    lengths: tuple[int, ...]

    @property
    def summary(self) -> Summary:
        """Of the returns."""
        return summarize(self.returns)

    @property
    def length(self) -> Summary:
        """Of the lengths."""
        return summarize(self.lengths)


def evaluate(directory: Path, n_episodes: int, *, deterministic: bool, allow_plugins: bool = False) -> Evaluation:
    """Play a run's saved policy, with its normalizer's statistics as they are; raises UserError where there is none."""
    config = from_yaml(directory / run_directory.CONFIG, allow_plugins=allow_plugins)
    return evaluate_together([directory], [config], n_episodes, deterministic=deterministic)[0]


def evaluate_together(
    directories: Sequence[Path], configs: Sequence[RunConfig], n_episodes: int, *, deterministic: bool
) -> list[Evaluation]:
    """`evaluate`, for runs of equal structure side by side: each plays what it would have played alone."""
    # The threads that a run was trained with say what else its machine was doing.
    wide = [replace(config, engine=replace(config.engine, threads=available_cores())) for config in configs]
    engine = evaluation_engine(wide, min(n_episodes, MOST_ENVIRONMENTS))
    try:
        policy = build_policy(configs, engine, torch.device("cpu"))
        steps = restore([policy_file(directory) for directory in directories], policy)
        with torch_threads(useful_threads(configs[0], available_cores())):
            played = play(policy, engine, n_episodes, None if deterministic else evaluation_noise(configs))
    finally:
        engine.close()
    return [
        Evaluation(
            step=step,
            is_deterministic=deterministic,
            returns=tuple(episode.episode_return for episode in episodes),
            lengths=tuple(episode.length for episode in episodes),
        )
        for step, episodes in zip(steps, played, strict=True)
    ]


class PeriodicEvaluation:
    """Evaluates the members of a population while they train, and touches nothing that their training depends on.

    Args:
        policy: the population's own.
        configs: resolved, of each member.
        recorder: writes what was found, and knows how far training has come.
        is_on: whether this process is the one that evaluates.
    """

    def __init__(self, policy: Policy, configs: Sequence[RunConfig], recorder: Recorder, *, is_on: bool = True) -> None:
        self._policy, self._configs, self._recorder = policy, configs, recorder
        self._settings = configs[0].eval
        self._evaluated_at = recorder.step
        self._is_on = is_on

    def evaluate_if_due(self) -> None:
        """Evaluate when an interval is over."""
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
    """Write eval.json beside the run; raises OSError where it cannot."""
    content = {
        "step": evaluation.step,
        "deterministic": evaluation.is_deterministic,
        "return": evaluation.summary._asdict(),
        "length": evaluation.length._asdict(),
        "returns": list(evaluation.returns),
        "lengths": list(evaluation.lengths),
    }
    write_json(directory / FILE, content)


def policy_file(directory: Path) -> Path:
    """The run's saved networks; raises UserError where there are none."""
    path = directory / POLICY
    if not path.is_file():
        raise UserError(
            "This run has saved no networks yet.",
            value=str(path),
            remedy="let it train until its first checkpoint, or resume it: acexp resume ...",
        )
    return path


def restore(files: Sequence[Path], policy: Policy) -> list[int]:
    """Put saved networks and statistics into a policy's members; returns the env steps that they were saved at.

    Raises UserError for a file that does not fit.
    """
    wanted = policy.architecture.parameters.named()
    wanted |= {f"normalizer.{name}": tensor for name, tensor in policy.observe.state().items()}
    return [_restore_member(path, {name: tensor[m] for name, tensor in wanted.items()}) for m, path in enumerate(files)]


def _restore_member(path: Path, wanted: dict[str, Tensor]) -> int:
    try:
        with safe_open(path, framework="pt") as file:
            saved: dict[str, Any] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            step = int((file.metadata() or {}).get("step", 0))
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"The saved networks cannot be read: {error}.", value=str(path)) from None
    if {name: tuple(x.shape) for name, x in saved.items()} != {name: tuple(x.shape) for name, x in wanted.items()}:
        raise UserError(
            "The saved networks are not those that the run's config builds.",
            value=str(path),
            remedy="undo the change of config.yaml",
        )
    for name, tensor in wanted.items():
        tensor.copy_(saved[name])
    return step
