"""Checksums of what environments have shown, with which a replay is compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

MOST_BYTES = 2**20
MOST_STEPS = 256

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""An odd number, so that a product with it loses nothing modulo 2^64."""


class _Shown(NamedTuple):
    """What E environments have shown in one step: observations `[E, ...]`; and `[E]` each, rewards, ends, resets."""

    observations: list[NDArray[Any]]
    rewards: NDArray[Any]
    ends: NDArray[Any]
    is_reset: NDArray[np.bool_]


class Checksums:
    """One checksum for each of E environments, of all that its running episode has shown.

    It is a polynomial hash modulo 2^64. Steps are kept, and added many at once: that takes a fiftieth of the time of a
    small environment's step, and the checksum of the bytes of each step would take half of it.
    """

    def __init__(self, n_envs: int) -> None:
        self._values: Words = np.zeros(n_envs, np.uint64)
        self._shown: list[_Shown] = []
        self._n_bytes = 0

    def add(self, observations: Any, rewards: NDArray[Any], ends: NDArray[Any], is_reset: NDArray[np.bool_]) -> None:
        """Add what a step has shown; a reset begins a new checksum.

        Args:
            observations: Arrays `[E, ...]`, which may be nested in dicts and tuples. They are copied.
            rewards, ends, is_reset: `[E]` each; not copied.
        """
        shown = _Shown([array.copy() for array in _arrays(observations)], rewards, ends, is_reset)
        self._shown.append(shown)
        self._n_bytes += sum(array.nbytes for array in shown.observations)
        if self._n_bytes >= MOST_BYTES or len(self._shown) >= MOST_STEPS:
            self._fold()

    def values(self) -> list[int]:
        """Return the checksums."""
        self._fold()
        return [int(value) for value in self._values]

    def replace(self, i: int, value: int) -> None:
        """Continue one environment from a checksum that `values` returned."""
        self._fold()
        self._values[i] = value

    def _fold(self) -> None:
        if not self._shown:
            return
        observations, rewards, ends, is_reset = zip(*self._shown, strict=True)
        self._shown, self._n_bytes = [], 0
        parts = [*zip(*observations, strict=True), rewards, ends]
        sums = np.sum([_sums(np.stack(part), p) for p, part in enumerate(parts)], axis=0, dtype=np.uint64)
        # Of each environment, only the rows from the last reset on count.
        resets = np.stack(is_reset)
        n = len(resets)
        first = np.where(resets.any(0), n - 1 - resets[::-1].argmax(0), -1)
        counted = np.where(np.arange(n)[:, np.newaxis] >= first, sums, np.uint64(0))
        powers = np.multiply.accumulate(np.concatenate([np.ones(1, np.uint64), np.full(n, _FACTOR)]))
        before = np.where(first < 0, self._values, np.uint64(0)) * powers[n]
        self._values = before + (counted * powers[n - 1 :: -1, np.newaxis][:n]).sum(0, dtype=np.uint64)


def _arrays(value: Any) -> Iterator[NDArray[Any]]:
    """Yield the arrays of nested dicts and tuples."""
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, tuple):
        for part in value:
            yield from _arrays(part)
    else:
        yield value


def _sums(array: NDArray[Any], part: int) -> Words:
    """Return a weighted sum of the words of each environment and step: `[K, E, ...]` -> `[K, E]`.

    `part` is the number of the array among those of a step.
    """
    rows = np.ascontiguousarray(array).reshape(*array.shape[:2], -1)
    n_bytes = rows.shape[2] * rows.itemsize
    width = next(size for size in (8, 4, 1) if n_bytes % size == 0)
    words = rows.view(f"u{width}").astype(np.uint64, copy=False)
    sums: Words = words @ _weights(words.shape[2], part)
    return sums


@lru_cache
def _weights(n: int, part: int) -> Words:
    """Return odd weights, other ones for each part of a step."""
    generator = np.random.default_rng([n, part])
    return generator.integers(2**64, size=n, dtype=np.uint64) | np.uint64(1)
