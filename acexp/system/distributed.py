"""One run trained by several processes, as torchrun starts them (torch.distributed: gloo on CPUs, nccl on GPUs)."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import pad

from acexp.core.errors import UserError
from acexp.core.process_group import SINGLE_PROCESS, ProcessGroup
from acexp.system.torchrun import world_size

T = TypeVar("T")

ALIGNMENT_BYTES = 16
"""Each part of a message begins at a multiple of the largest element size that torch has (complex128)."""


class ProcessLostError(Exception):
    """Another process of this run is gone, and no process can continue without it."""


def require_even_shards(n_envs: int) -> None:
    """Raise UserError unless a run's environments can be divided evenly among its processes."""
    n = world_size()
    if n_envs % n:
        raise UserError(
            f"{n_envs} environments cannot be divided evenly among {n} processes.",
            key="algo.n_envs",
            value=n_envs,
            remedy=f"set algo.n_envs={math.ceil(n_envs / n) * n}, or start another number of processes",
        )


@contextmanager
def process_group() -> Iterator[ProcessGroup]:
    """Join the other processes of the run; yields `SINGLE_PROCESS` where torchrun has not started any."""
    if world_size() == 1:
        yield SINGLE_PROCESS
        return
    is_cuda = torch.cuda.is_available()
    if is_cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    if not dist.is_initialized():
        with _lost_process_as_error():
            dist.init_process_group("nccl" if is_cuda else "gloo")
    yield _TorchProcessGroup(torch.device("cuda" if is_cuda else "cpu"))
    with suppress(RuntimeError, ProcessLostError):
        dist.destroy_process_group()


class _TorchProcessGroup:
    """The default process group of torch.distributed. See ProcessGroup."""

    def __init__(self, device: torch.device) -> None:
        self.rank, self.world_size = dist.get_rank(), dist.get_world_size()
        self._device = device

    def shard(self, n_envs: int) -> slice:
        own = n_envs // self.world_size
        return slice(self.rank * own, (self.rank + 1) * own)

    def sum(self, x: Tensor) -> Tensor:
        total = x.to(self._device, copy=True, memory_format=torch.contiguous_format)
        with _lost_process_as_error():
            dist.all_reduce(total)
        return total.to(x.device)

    def gather(self, tensors: Sequence[Tensor], dim: int) -> tuple[Tensor, ...]:
        # All tensors travel as one message of bytes: the number of messages is what costs time.
        parts = [x.contiguous().to(self._device).flatten().view(torch.uint8) for x in tensors]
        message = torch.cat([pad(part, (0, -len(part) % ALIGNMENT_BYTES)) for part in parts])
        sizes = [len(part) + -len(part) % ALIGNMENT_BYTES for part in parts]
        received = [torch.empty_like(message) for _ in range(self.world_size)]
        with _lost_process_as_error():
            dist.all_gather(received, message)
        by_tensor = zip(*(torch.split(everything, sizes) for everything in received), strict=True)
        return tuple(
            torch.cat([shard[: len(part)].view(x.dtype).view(x.shape) for shard in shards], dim).to(x.device)
            for shards, part, x in zip(by_tensor, parts, tensors, strict=True)
        )

    def maximum(self, numbers: Sequence[int]) -> list[int]:
        values = torch.tensor(numbers, device=self._device)
        with _lost_process_as_error():
            dist.all_reduce(values, dist.ReduceOp.MAX)
        return values.tolist()

    def gather_objects(self, value: T) -> list[T]:
        values: list[T | None] = [None] * self.world_size
        with _lost_process_as_error():
            dist.all_gather_object(values, value)
        return values  # type: ignore[return-value]  # every None has been replaced by a process's value

    def from_rank_zero(self, make: Callable[[], T]) -> T:
        made: list[T | Exception] = []
        if self.rank == 0:
            try:
                made = [make()]
            except Exception as error:
                made = [error]
        result = self.gather_objects(made)[0][0]
        if isinstance(result, Exception):
            raise result
        return result


@contextmanager
def _lost_process_as_error() -> Iterator[None]:
    """Raise ProcessLostError where a collective operation fails: another process is gone."""
    try:
        yield
    except RuntimeError as error:
        raise ProcessLostError(str(error).splitlines()[0]) from error
