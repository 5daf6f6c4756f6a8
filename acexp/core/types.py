"""What travels between the parts: rollouts, batches and measurements, all immutable.

Shapes: `T` steps, `M` members, `N` environments per member, `B = T * N`, `K` policy parameters.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from acexp.core.observations import Leaves
from acexp.core.tape import Tape


class Episode(NamedTuple):
    """A finished episode: whose it was, its undiscounted raw return, its length in steps."""

    member: int
    episode_return: float
    length: int


class Rollout(NamedTuple):
    """T steps of M members times N environments. The tensors are reused: valid until the next rollout.

    Attributes:
        observations: leaves `[T + 1, M, N, *shape]`, raw; the last row is the observation after the last step.
        actions: as sampled, `[T, M, N, *action_shape]`.
        rewards: for learning (clipped where the environment asks for it), float32 `[T, M, N]`.
        terminated, truncated: bool `[T, M, N]`.
        valid: bool `[T, M, N]`, False in reset slots, whose action was ignored and whose reward is 0.
        tape: what the actors computed on the way.
        episodes: those that ended in this rollout, in the order in which they ended.
    """

    observations: Leaves
    actions: Tensor
    rewards: Tensor
    terminated: Tensor
    truncated: Tensor
    valid: Tensor
    tape: Tape
    episodes: tuple[Episode, ...]


class Batch(NamedTuple):
    """A rollout, evaluated by the current networks; flat, a row for each member. It owns its tensors.

    Attributes:
        policy: the actor's output `[M, B, K]`.
        values: the critic's output `[M, B]`.
        actions: `[M, B, *action_shape]`.
        advantages, returns: targets `[M, B]`.
        valid: float32 `[M, B]`, ones and zeros.
        weight: float32 `[M, B]`, what makes sums over valid slots their means.
    """

    policy: Tensor
    values: Tensor
    actions: Tensor
    advantages: Tensor
    returns: Tensor
    valid: Tensor
    weight: Tensor


class Hyperparameters(NamedTuple):
    """What may differ between the members of a population, float32 `[M]` each."""

    gamma: Tensor
    gae_lambda: Tensor
    entropy_coef: Tensor
    value_coef: Tensor


class GroupNorms(NamedTuple):
    """What clipping did to the gradient of one optimizer group.

    Attributes:
        group: `joint`, `actor` or `critic`.
        modules: the modules that the group steps, in column order.
        before, after: the norm of each module's part of the gradient, `[M, len(modules)]`; `after` is measured on the
            clipped gradient. For a member that was stopped, `before` says what its gradient was, `after` is 0.
        clipped: 1 where clipping changed the gradient, else 0, float32 `[M]`.
        learning_rate: what the step was taken with, `[M]`.
    """

    group: str
    modules: tuple[str, ...]
    before: Tensor
    after: Tensor
    clipped: Tensor
    learning_rate: Tensor


class UpdateStatistics(NamedTuple):
    """What one update learned from and what it measured; losses are computed from it where somebody wants to see them.

    Attributes:
        batch: what it learned from.
        progress: share of the budget spent before it.
        norms: one per optimizer group.
        learning: bool `[M]`; False for a member that stands still since one of its gradients was not finite.
        trunk_cosine: between the actor's and the critic's gradient on the trunk, `[M]`; None where it was not measured.
    """

    batch: Batch
    progress: float
    norms: tuple[GroupNorms, ...]
    learning: Tensor
    trunk_cosine: Tensor | None = None
