"""Layer 2: the parts of a population, put side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from acexp.algorithm.policy import Policy
from acexp.algorithm.rollout import Collector
from acexp.architectures import Architecture
from acexp.core.errors import UserError
from acexp.core.losses import Objective
from acexp.core.process_group import SINGLE_PROCESS, ProcessGroup
from acexp.normalizers import ObservationNormalizer, RewardNormalizer
from acexp.optimizers import OptimizerGroup
from acexp.optimizers.clipping import Clip


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """M members that train together, as the parts that the loop moves. A single run is a population of one.

    Attributes:
        learning: bool `[M]`, changed in place: False once a member's gradient was not finite. It then stands still,
            and the others go on.
        process_group: the processes that train the same members with other environments.
    """

    collector: Collector
    observe: ObservationNormalizer
    reward_normalizer: RewardNormalizer
    architecture: Architecture
    objective: Objective
    groups: tuple[OptimizerGroup, ...]
    clip: Clip
    normalize_advantage: bool
    learning: Tensor
    process_group: ProcessGroup = SINGLE_PROCESS

    @property
    def policy(self) -> Policy:
        """What acts, without what learns."""
        return Policy(self.observe, self.architecture, self.objective.distribution, self.learning.device)

    def tensors(self) -> dict[str, Tensor]:
        """All that training changes but generators and environments, `[M, ...]` each: the tensors themselves."""
        parts = {
            "collector": self.collector.state(),
            "normalizer": self.observe.state(),
            "reward_normalizer": self.reward_normalizer.state(),
            **{f"optimizer.{group.loss}": group.state() for group in self.groups},
        }
        inner = {f"{part}.{name}": tensor for part, state in parts.items() for name, tensor in state.items()}
        return {"parameters": self.architecture.parameters.flat, "learning": self.learning, **inner}


OWN = "collector."
"""What begins so belongs to environments, `[M, N, ...]`, of which each peer has its own."""

MemberState = dict[str, Any]
"""All that one member's training depends on: `tensors` by name, its `generator`, its `environments` or None."""


def save(population: Population) -> list[MemberState]:
    """The state of each member, copied, as tensors and plain values; with the environments of all process_group."""
    tensors = population.tensors()
    generators = population.collector.generators
    own = [name for name in tensors if name.startswith(OWN)]
    tensors |= zip(own, population.process_group.gather([tensors[name] for name in own], 1), strict=True)
    environments = _by_member(
        population.process_group.gather_objects(population.collector.engine.save()), len(generators)
    )
    n_envs = 0 if environments is None else len(environments) // len(generators)
    return [
        {
            "tensors": {name: tensor[m].cpu().clone() for name, tensor in tensors.items()},
            "generator": generator.get_state(),
            "environments": None if environments is None else environments[m * n_envs : (m + 1) * n_envs],
        }
        for m, generator in enumerate(generators)
    ]


def _by_member(shares: Sequence[list[Any] | None], n_members: int) -> list[Any] | None:
    """The environments of all processes, a member's next to each other; None unless all have been saved."""
    if any(share is None for share in shares):
        return None
    rows = [_parts(share, n_members) for share in shares if share is not None]
    return [one for member in range(n_members) for row in rows for one in row[member]]


def _parts(environments: list[Any], n_members: int) -> list[list[Any]]:
    n = len(environments) // n_members
    return [environments[m * n : (m + 1) * n] for m in range(n_members)]


@torch.no_grad()
def load(population: Population, states: Sequence[MemberState]) -> None:
    """Go on from the states of its members, in their order, which may have trained in other populations.

    Where environments have no state, those of a population that was just built begin new episodes; the collector's part
    of the state is then left out.
    """
    missing = population.tensors().keys() ^ states[0]["tensors"].keys()
    if missing:
        raise UserError(
            f"What was saved is not what this config builds: only one of them has {', '.join(sorted(missing))}.",
            remedy="undo the change of the config, or train a new run",
        )
    environments = [state["environments"] for state in states]
    is_exact = all(given is not None for given in environments)
    mine = population.process_group.shard(len(environments[0]) if is_exact else 0)
    for name in population.tensors():
        saved = torch.stack([state["tensors"][name] for state in states])
        if not name.startswith(OWN):
            _put_back(population, name, saved)
        elif is_exact:
            _put_back(population, name, saved[:, mine])
    for generator, state in zip(population.collector.generators, states, strict=True):
        generator.set_state(state["generator"])
    if is_exact:
        population.collector.engine.load([one for given in environments for one in given[mine]])


def _put_back(population: Population, name: str, saved: Tensor) -> None:
    target = population.tensors()[name]
    if target.shape != saved.shape:
        raise UserError(
            f"The state {name!r} is of another size than what this config builds.",
            value=f"{tuple(saved.shape)}, not {tuple(target.shape)}",
            remedy="undo the change of the config, or train a new run",
        )
    target.copy_(saved)
    now = population.tensors()[name].to(saved)
    if not torch.equal(now.nan_to_num(), saved.nan_to_num()):
        raise UserError(
            f"The state {name!r} cannot be put back.",
            value=name,
            remedy="its component's state() must give the tensors that it works with, not copies of them",
        )
