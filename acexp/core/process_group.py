"""The processes that train one run together, each with a share of its environments; usually there is one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from torch import Tensor

T = TypeVar("T")


class Peers(Protocol):
    """What they tell each other. Every method must be called by all of them, in the same order.

    The environments of a member are dealt out in turn: the first process has the first `N / n`, and so on.

    Attributes:
        rank: of this process, from 0; that one writes.
        n: how many there are.
    """

    rank: int
    n: int

    def share(self, n_envs: int) -> slice:
        """Which of a member's environments are this process's."""

    def sum(self, x: Tensor) -> Tensor:
        """Over all processes, of tensors of one shape; the result is the same everywhere, to the last bit."""

    def gather(self, tensors: Sequence[Tensor], dim: int) -> tuple[Tensor, ...]:
        """Each tensor with its parts from all processes, put together along a dimension in the order of ranks."""

    def greatest(self, numbers: Sequence[int]) -> list[int]:
        """The greatest of what all processes say, number by number."""

    def collect(self, value: T) -> list[T]:
        """What each process says, in the order of ranks."""

    def first(self, make: Callable[[], T]) -> T:
        """What rank 0 makes, everywhere; what it raises, everywhere."""


class Alone:
    """The one process of a run that has no others. See Peers."""

    rank = 0
    n = 1

    def share(self, n_envs: int) -> slice:
        return slice(0, n_envs)

    def sum(self, x: Tensor) -> Tensor:
        return x

    def gather(self, tensors: Sequence[Tensor], dim: int) -> tuple[Tensor, ...]:
        return tuple(tensors)

    def greatest(self, numbers: Sequence[int]) -> list[int]:
        return list(numbers)

    def collect(self, value: T) -> list[T]:
        return [value]

    def first(self, make: Callable[[], T]) -> T:
        return make()


ALONE = Alone()
