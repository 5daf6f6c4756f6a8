"""The parts of a population, and how its members' states are saved and loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from acexp.algorithm.policy import Policy
from acexp.algorithm.rollout import Collector
from acexp.architectures import Architecture
from acexp.core.errors import UserError
from acexp.core.losses import Objective
from acexp.core.process_group import SINGLE_PROCESS, ProcessGroup
from acexp.engines.base import EnvironmentState
from acexp.normalizers import ObservationNormalizer, RewardNormalizer
from acexp.optimizers import OptimizerGroup
from acexp.optimizers.clipping import Clip


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """M members that train together, as the parts that the training loop uses. A single run is a population of one.

    Attributes:
        learning: Bool `[M]`, changed in place: False once a member's gradient was not finite. That member is no longer
            updated; the others continue.
        process_group: The processes that train the same members, each with other environments.
    """

    collector: Collector
    observe: ObservationNormalizer
    reward_normalizer: RewardNormalizer
    architecture: Architecture
    objective: Objective
    groups: tuple[OptimizerGroup, ...]
    clip: Clip
    learning: Tensor
    process_group: ProcessGroup = SINGLE_PROCESS

    @property
    def policy(self) -> Policy:
        """The members' policies, without the parts that learn."""
        return Policy(self.observe, self.architecture, self.objective.distribution, self.learning.device)

    def tensors(self) -> dict[str, Tensor]:
        """Return what training changes except generators and environments, `[M, ...]` each: tensors, not copies."""
        parts = {
            "collector": self.collector.state(),
            "normalizer": self.observe.state(),
            "reward_normalizer": self.reward_normalizer.state(),
            **{f"optimizer.{group.loss}": group.state() for group in self.groups},
        }
        inner = {f"{part}.{name}": tensor for part, state in parts.items() for name, tensor in state.items()}
        return {"parameters": self.architecture.parameters.flat, "learning": self.learning, **inner}


SHARDED_PREFIX = "collector."
"""The prefix of tensors that belong to environments, `[M, N, ...]`; each process has those of its own shard."""

MemberState = dict[str, Any]
"""The state that one member's training depends on: `tensors` by name, its `generator`, its `environments` or None."""


class CollectorState(NamedTuple):
    """A copy of all that the collection of a rollout changes.

    Attributes:
        tensors: Those of Population.tensors whose names begin with SHARDED_PREFIX.
        generators: The state of each member's generator.
        environments: What the engine has saved.
    """

    tensors: dict[str, Tensor]
    generators: list[Tensor]
    environments: list[EnvironmentState] | None


def collector_state(population: Population) -> CollectorState:
    """Return a copy of all that the collection of a rollout changes in this process."""
    collector = population.collector
    return CollectorState(
        {f"{SHARDED_PREFIX}{name}": tensor.clone() for name, tensor in collector.state().items()},
        [generator.get_state() for generator in collector.generators],
        collector.engine.save(),
    )


def save(population: Population, before: CollectorState | None = None) -> list[MemberState]:
    """Return a copy of each member's state, as tensors and plain values, with the environments of all processes.

    With the state of the collector `before` a rollout that was left half done, it is the members' state at that time.
    """
    sharded, generators, mine = before or collector_state(population)
    tensors = population.tensors()
    tensors |= zip(sharded, population.process_group.gather(list(sharded.values()), 1), strict=True)
    environments = _by_member(population.process_group.gather_objects(mine), len(generators))
    n_envs = 0 if environments is None else len(environments) // len(generators)
    return [
        {
            "tensors": {name: tensor[m].cpu().clone() for name, tensor in tensors.items()},
            "generator": generator,
            "environments": None if environments is None else environments[m * n_envs : (m + 1) * n_envs],
        }
        for m, generator in enumerate(generators)
    ]


def _by_member(shares: Sequence[list[Any] | None], n_members: int) -> list[Any] | None:
    """Return the environments of all processes, ordered by member; None unless every process saved its own."""
    if any(share is None for share in shares):
        return None
    rows = [_split(share, n_members) for share in shares if share is not None]
    return [environment for member in range(n_members) for row in rows for environment in row[member]]


def _split(environments: list[Any], n_members: int) -> list[list[Any]]:
    n = len(environments) // n_members
    return [environments[m * n : (m + 1) * n] for m in range(n_members)]


@torch.no_grad()
def load(population: Population, states: Sequence[MemberState]) -> str | None:
    """Restore the states of the members, in their order; they may come from other populations.

    If the states contain no environments, the environments of the newly built population begin new episodes, and the
    collector's part of the states is ignored. Returns None, or why the environments cannot be brought back to where
    they were; the population is then of no use any more. Raises UserError if the states do not fit the population, and
    StopRequestedError where the engine's `should_stop` asks to leave environments that are played again.
    """
    missing = population.tensors().keys() ^ states[0]["tensors"].keys()
    if missing:
        raise UserError(
            f"The saved state does not match this config: only one of them has {', '.join(sorted(missing))}.",
            remedy="undo the change of the config, or train a new run",
        )
    environments = [state["environments"] for state in states]
    is_exact = all(saved is not None for saved in environments)
    shard = population.process_group.shard(len(environments[0]) if is_exact else 0)
    for name in population.tensors():
        saved = torch.stack([state["tensors"][name] for state in states])
        if not name.startswith(SHARDED_PREFIX):
            _restore(population, name, saved)
        elif is_exact:
            _restore(population, name, saved[:, shard])
    for generator, state in zip(population.collector.generators, states, strict=True):
        generator.set_state(state["generator"])
    if not is_exact:
        return None
    mine = [environment for member in environments for environment in member[shard]]
    engine = population.collector.engine
    found = population.process_group.gather_objects(engine.load(mine))
    return next((obstacle for obstacle in found if obstacle is not None), None)


def _restore(population: Population, name: str, saved: Tensor) -> None:
    target = population.tensors()[name]
    if target.shape != saved.shape:
        raise UserError(
            f"The state {name!r} is of another size than what this config builds.",
            value=f"{tuple(saved.shape)}, not {tuple(target.shape)}",
            remedy="undo the change of the config, or train a new run",
        )
    target.copy_(saved)
    restored = population.tensors()[name].to(saved)
    if not torch.equal(restored.nan_to_num(), saved.nan_to_num()):
        raise UserError(
            f"The state {name!r} cannot be restored.",
            value=name,
            remedy="its component's state() must return the tensors that it works with, not copies of them",
        )
