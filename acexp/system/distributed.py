"""Layer 5: one run over several processes, as torchrun starts them (torch.distributed: gloo on CPUs, nccl on GPUs)."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import pad

from acexp.core.errors import UserError
from acexp.core.process_group import ALONE, Peers

T = TypeVar("T")


LARGEST_NUMBER = 16
"""Bytes."""


class PeerLostError(Exception):
    """Another process of this run is gone, and none can go on without it."""


def world_size(environment: Mapping[str, str] = os.environ) -> int:
    """How many processes torchrun has started; 1 without it."""
    return int(environment.get("WORLD_SIZE", 1)) if "TORCHELASTIC_RUN_ID" in environment else 1


def rank(environment: Mapping[str, str] = os.environ) -> int:
    """Of this one."""
    return int(environment["RANK"]) if world_size(environment) > 1 else 0


def processes_here(environment: Mapping[str, str] = os.environ) -> int:
    """How many of them share this machine."""
    return int(environment["LOCAL_WORLD_SIZE"]) if world_size(environment) > 1 else 1


def require_even_shares(n_envs: int) -> None:
    """Raise UserError unless a run's environments can be dealt out evenly."""
    n = world_size()
    if n_envs % n:
        raise UserError(
            f"{n_envs} environments cannot be dealt out evenly to {n} processes.",
            key="a2c.n_envs",
            value=n_envs,
            remedy=f"say a2c.n_envs={math.ceil(n_envs / n) * n}, or start another number of processes",
        )


@contextmanager
def join() -> Iterator[Peers]:
    """Meet the other processes of the run; `ALONE` where torchrun has not started any."""
    if world_size() == 1:
        yield ALONE
        return
    is_cuda = torch.cuda.is_available()
    if is_cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    if not dist.is_initialized():
        with _failing_together():
            dist.init_process_group("nccl" if is_cuda else "gloo")
    yield _Processes(torch.device("cuda" if is_cuda else "cpu"))
    with suppress(RuntimeError, PeerLostError):
        dist.destroy_process_group()


class _Processes:
    """Those of torch.distributed. See Peers."""

    def __init__(self, device: torch.device) -> None:
        self.rank, self.n = dist.get_rank(), dist.get_world_size()
        self._device = device

    def share(self, n_envs: int) -> slice:
        own = n_envs // self.n
        return slice(self.rank * own, (self.rank + 1) * own)

    def sum(self, x: Tensor) -> Tensor:
        total = x.to(self._device, copy=True, memory_format=torch.contiguous_format)
        with _failing_together():
            dist.all_reduce(total)
        return total.to(x.device)

    def gather(self, tensors: Sequence[Tensor], dim: int) -> tuple[Tensor, ...]:
        # As one message of bytes: what costs time is the number of messages, and what types they have is no matter.
        parts = [x.contiguous().to(self._device).flatten().view(torch.uint8) for x in tensors]
        # Each begins where numbers of any type may.
        message = torch.cat([pad(part, (0, -len(part) % LARGEST_NUMBER)) for part in parts])
        sizes = [len(part) + -len(part) % LARGEST_NUMBER for part in parts]
        received = [torch.empty_like(message) for _ in range(self.n)]
        with _failing_together():
            dist.all_gather(received, message)
        by_tensor = zip(*(torch.split(everything, sizes) for everything in received), strict=True)
        return tuple(
            torch.cat([share[: len(part)].view(x.dtype).view(x.shape) for share in shares], dim).to(x.device)
            for shares, part, x in zip(by_tensor, parts, tensors, strict=True)
        )

    def greatest(self, numbers: Sequence[int]) -> list[int]:
        said = torch.tensor(numbers, device=self._device)
        with _failing_together():
            dist.all_reduce(said, dist.ReduceOp.MAX)
        return said.tolist()

    def collect(self, value: T) -> list[T]:
        said: list[T | None] = [None] * self.n
        with _failing_together():
            dist.all_gather_object(said, value)
        return said  # type: ignore[return-value]  # none of them is None any more, unless somebody said so

    def first(self, make: Callable[[], T]) -> T:
        made: list[T | Exception] = []
        if self.rank == 0:
            try:
                made = [make()]
            except Exception as error:
                made = [error]
        said = self.collect(made)[0][0]
        if isinstance(said, Exception):
            raise said
        return said


@contextmanager
def _failing_together() -> Iterator[None]:
    """A message that does not come through means that somebody is gone."""
    try:
        yield
    except RuntimeError as error:
        raise PeerLostError(str(error).splitlines()[0]) from error
