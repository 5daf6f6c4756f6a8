"""Values passed between the parts of the algorithm: rollouts, batches and measurements, all immutable.

Shapes: `T` steps, `M` members, `N` environments per member, `B = T * N`, `K` policy parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from acexp.core.arrays import Array, stack
from acexp.core.observations import Leaves
from acexp.core.tape import Tape

_NO_NUMBERS: Mapping[str, float] = {}


class Episode(NamedTuple):
    """A finished episode.

    Attributes:
        member: Index of its member.
        episode_return: Undiscounted sum of its raw rewards.
        length: Number of its steps.
        info: The numbers that its last info has of those that are logged, by key.
    """

    member: int
    episode_return: float
    length: int
    info: Mapping[str, float] = _NO_NUMBERS


class EnvironmentFault(NamedTuple):
    """A value from an environment that nothing can be learned from.

    Attributes:
        member: Index of the member that the environment belongs to.
        slot: The env step of the member's rollout at which it came, counted from 1.
        problem: Which value it is, and what is wrong with it.
    """

    member: int
    slot: int
    problem: str


class Rollout(NamedTuple):
    """T steps of M members times N environments. The arrays are reused by the next rollout.

    Attributes:
        observations: Leaves `[T + 1, M, N, *shape]`, raw; the last row is the observation after the last step.
        actions: Actions as sampled, `[T, M, N, *action_shape]`.
        rewards: Rewards for learning (clipped if the environment config requires it), float32 `[T, M, N]`.
        terminated, truncated: Whether and how an episode ended at the step, bool `[T, M, N]`.
        valid: Bool `[T, M, N]`, False in reset slots, whose action was ignored and whose reward is 0.
        tape: Outputs of the actors' layers.
        episodes: Episodes that ended in this rollout, in the order in which they ended.
        faults: The first fault of each member whose environments returned values that cannot be used.
    """

    observations: Leaves
    actions: Array
    rewards: Array
    terminated: Array
    truncated: Array
    valid: Array
    tape: Tape
    episodes: tuple[Episode, ...]
    faults: tuple[EnvironmentFault, ...] = ()


class Batch(NamedTuple):
    """A rollout, or a part of it, evaluated by the current networks: one row per member. It owns its arrays.

    Attributes:
        policy: The actor's output, `[M, B, K]`.
        values: The critic's output, `[M, B]`.
        actions: Actions as sampled, `[M, B, *action_shape]`.
        advantages, returns: Targets of the actor and of the critic, `[M, B]`.
        valid: 1 in valid slots, else 0, float32 `[M, B]`.
        weight: Weights with which sums over slots are means over valid slots, float32 `[M, B]`.
        log_prob_before, values_before: The log-probability of each action and the critic's output when the rollout was
            collected, `[M, B]`; None for algorithms that do not compare them with those of the current networks.
    """

    policy: Array
    values: Array
    actions: Array
    advantages: Array
    returns: Array
    valid: Array
    weight: Array
    log_prob_before: Array | None = None
    values_before: Array | None = None

    def map(self, function: Callable[[Array], Array]) -> Batch:
        """Return the batch with a function of every array."""
        return Batch(*(None if x is None else function(x) for x in self))  # type: ignore[arg-type]

    @staticmethod
    def stack(batches: Sequence[Batch]) -> Batch:
        """Stack U batches of equal shapes along a new first axis."""
        columns = zip(*batches, strict=True)
        return Batch(*(None if parts[0] is None else stack(parts) for parts in columns))  # type: ignore[arg-type]


class GroupNorms(NamedTuple):
    """The norms of one optimizer group's gradient before and after clipping.

    Attributes:
        group: Name of the group: `joint`, `actor` or `critic`.
        modules: The modules that the group steps, in column order.
        before, after: The norm of each module's part of the gradient, `[M, len(modules)]`; `after` is measured on the
            clipped gradient. For a member that was stopped, `before` is the norm of its gradient, and `after` is 0.
        clipped: 1 where clipping changed the gradient, else 0, float32 `[M]`.
        learning_rate: Learning rates of the step, `[M]`.
    """

    group: str
    modules: tuple[str, ...]
    before: Array
    after: Array
    clipped: Array
    learning_rate: Array


class UpdateStatistics(NamedTuple):
    """The batch of one step of all optimizers, and its measurements; losses are computed from it if they are logged.

    Attributes:
        batch: The batch that the step learned from. A member without a valid slot in it takes no step.
        progress: Share of the budget spent before the update that the step belongs to.
        norms: Gradient norms, one entry per optimizer group.
        learning: Bool `[M]`; False for a member that no longer learns because one of its gradients was not finite.
        trunk_cosine: Cosine between the actor's and the critic's gradient on the trunk, `[M]`; None if not measured.
        rollout: The whole rollout, as it was collected, at the first step of an update; None at its further steps.
    """

    batch: Batch
    progress: float
    norms: tuple[GroupNorms, ...]
    learning: Tensor
    trunk_cosine: Tensor | None = None
    rollout: Batch | None = None
