"""The saved policies of a run, opened to play, export or film them: the last one, and the best one if it is kept.

`policy.safetensors` is written at each checkpoint, `best.safetensors` after each evaluation that is the best so far.

A safetensors file holds names, shapes and numbers, and nothing that could run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor

from acexp.algorithm.assembly import build_policy
from acexp.algorithm.policy import Policy
from acexp.config import from_yaml
from acexp.core.errors import UserError
from acexp.engines import Engine
from acexp.runs import run_directory
from acexp.runs.run import Run
from acexp.system.files import sync_directory, write_durably

FILE = "policy.safetensors"
BEST_FILE = "best.safetensors"


class Which(StrEnum):
    """Which policy of a run: that of its last checkpoint, or the one with the best evaluation during training."""

    LAST = "last"
    BEST = "best"

    @property
    def file(self) -> str:
        """The file of this policy in the run's directory."""
        return FILE if self is Which.LAST else BEST_FILE


class Score(NamedTuple):
    """The evaluation by which a best policy was chosen: its env step, its mean return and its number of episodes."""

    step: int
    mean: float
    n_episodes: int


@dataclass(frozen=True, slots=True)
class SavedPolicy:
    """The policies of M runs as they were saved, with the statistics of their normalizers.

    Attributes:
        policy: The policies, which play in all environments of the engine at once.
        engine: The environments, those of one run next to each other.
        steps: The env steps that each run had been trained for.
    """

    policy: Policy
    engine: Engine
    steps: tuple[int, ...]


def saved_run(directory: Path, which: Which = Which.LAST, *, allow_plugins: bool) -> Run:
    """Return the run in a directory; raises UserError unless it has saved this policy and its config can be read.

    Modules that the run's config names are imported only with `allow_plugins`, because they run code.
    """
    path = directory / which.file
    config = from_yaml(directory / run_directory.CONFIG, allow_plugins=allow_plugins)
    if which is Which.BEST and not path.is_file():
        raise UserError(
            "This run has kept no best policy.",
            value=str(path),
            remedy="use its last one (--which last), or train with eval.keep_best=true eval.every=... until the first "
            "evaluation",
        )
    if not path.is_file():
        raise UserError(
            "This run has saved no networks yet.",
            value=str(path),
            remedy="let it train until its first checkpoint, or resume it: acexp resume ...",
        )
    return Run(config, directory)


@contextmanager
def open_policy(runs: Sequence[Run], engine: Engine, which: Which = Which.LAST) -> Iterator[SavedPolicy]:
    """Open the saved policies of runs of equal structure, to act in an engine's environments, which are closed after.

    Raises UserError for a file that does not fit the run's config.
    """
    try:
        policy = build_policy([run.config for run in runs], engine, torch.device("cpu"))
        tensors = _named(policy)
        steps = tuple(
            _restore(run.directory / which.file, {name: tensor[m] for name, tensor in tensors.items()})
            for m, run in enumerate(runs)
        )
        yield SavedPolicy(policy, engine, steps)
    finally:
        engine.close()


def write(directory: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, str], file: str = FILE) -> None:
    """Replace a saved policy, completely or not at all; raises OSError where that fails."""
    data = to_safetensors({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata=dict(notes))
    write_durably(directory / f"{file}.tmp", data).replace(directory / file)
    sync_directory(directory)


def write_best(directory: Path, tensors: Mapping[str, Tensor], score: Score, config: str) -> None:
    """Replace the best policy of a run, with the evaluation that chose it; raises OSError where that fails."""
    notes = {"format": "pt", "step": str(score.step), "config": config}
    chosen = {"score": repr(score.mean), "episodes": str(score.n_episodes)}
    write(directory, tensors, {**notes, **chosen}, BEST_FILE)


def read_score(directory: Path) -> Score | None:
    """Return the evaluation that chose a run's best policy; None if there is none, or none that can be read."""
    try:
        with safe_open(directory / BEST_FILE, framework="pt") as file:
            notes = file.metadata() or {}
        return Score(int(notes["step"]), float(notes["score"]), int(notes["episodes"]))
    except (OSError, SafetensorError, ValueError, KeyError):
        return None


def _named(policy: Policy) -> dict[str, Tensor]:
    """Return the tensors of a policy by the names that they have in the file, `[M, ...]` each."""
    normalizer = {f"normalizer.{name}": tensor for name, tensor in policy.observe.state().items()}
    return {**policy.architecture.parameters.named(), **normalizer}


def member_tensors(policy: Policy, member: int) -> dict[str, Tensor]:
    """Return one member's tensors, on the CPU, as `write` takes them."""
    return {name: tensor[member].cpu() for name, tensor in _named(policy).items()}


def _restore(path: Path, tensors: dict[str, Tensor]) -> int:
    """Copy a saved policy into one member's tensors; returns the env step at which it was saved."""
    try:
        with safe_open(path, framework="pt") as file:
            saved: dict[str, Any] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            step = int((file.metadata() or {}).get("step", 0))
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"The saved networks cannot be read: {error}.", value=str(path)) from None
    if {name: tuple(x.shape) for name, x in saved.items()} != {name: tuple(x.shape) for name, x in tensors.items()}:
        raise UserError(
            "The saved networks are not those that the run's config builds.",
            value=str(path),
            remedy="undo the change of config.yaml",
        )
    for name, tensor in tensors.items():
        tensor.copy_(saved[name])
    return step
