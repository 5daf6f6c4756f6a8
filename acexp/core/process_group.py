"""The processes that train one run together, each with a shard of its environments; usually there is only one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from torch import Tensor

T = TypeVar("T")


class ProcessGroup(Protocol):
    """The operations by which the processes of one run exchange data.

    Every method is collective: all processes must call it, in the same order. The environments of a member are sharded
    in blocks: the first process has the first `N / world_size`, and so on.

    Attributes:
        rank: Number of this process, from 0. Rank 0 writes the run's files.
        world_size: Number of processes.
    """

    rank: int
    world_size: int

    def shard(self, n_envs: int) -> slice:
        """Return the slice of a member's `n_envs` environments that this process steps."""

    def sum(self, x: Tensor) -> Tensor:
        """Sum tensors of one shape over all processes; the result is bit-identical everywhere."""

    def gather(self, tensors: Sequence[Tensor], dim: int) -> tuple[Tensor, ...]:
        """Concatenate each tensor's parts from all processes along `dim`, in the order of ranks."""

    def maximum(self, numbers: Sequence[int]) -> list[int]:
        """Return the elementwise maximum of the numbers over all processes."""

    def gather_objects(self, value: T) -> list[T]:
        """Return the value of every process, in the order of ranks."""

    def from_rank_zero(self, make: Callable[[], T]) -> T:
        """Call `make` on rank 0 and return its result, or raise its exception, on every process."""


class SingleProcess:
    """The process group of a run that one process trains. See ProcessGroup."""

    rank = 0
    world_size = 1

    def shard(self, n_envs: int) -> slice:
        return slice(0, n_envs)

    def sum(self, x: Tensor) -> Tensor:
        return x

    def gather(self, tensors: Sequence[Tensor], dim: int) -> tuple[Tensor, ...]:
        return tuple(tensors)

    def maximum(self, numbers: Sequence[int]) -> list[int]:
        return list(numbers)

    def gather_objects(self, value: T) -> list[T]:
        return [value]

    def from_rank_zero(self, make: Callable[[], T]) -> T:
        return make()


SINGLE_PROCESS = SingleProcess()
