"""The seeds of all random numbers of a run.

One `numpy.random.SeedSequence(seed)` is split by `spawn` into independent streams, so that environments,
initialization and action sampling never share numbers, within a run or between runs: `seed + i` would give seeds 0 and
1 all but one of their environment streams in common. The global generators of torch and numpy are not used, except by
the constructors of plain modules, which have no other way: torch's is seeded for them and restored afterwards.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch


class Streams(NamedTuple):
    """The independent random streams of one run. The order is part of the format: append, never insert."""

    environments: np.random.SeedSequence
    initialization: np.random.SeedSequence
    actions: np.random.SeedSequence
    evaluation: np.random.SeedSequence


def streams(seed: int) -> Streams:
    """Split a run's seed into its independent streams."""
    return Streams(*np.random.SeedSequence(seed).spawn(len(Streams._fields)))


def evaluation_stream(seed: int, *, again: bool = False) -> np.random.SeedSequence:
    """Return the stream of a run's evaluation environments.

    With `again`, it is another one, for policies that were chosen by how well they did in the first.
    """
    stream = streams(seed).evaluation
    return stream.spawn(2)[1] if again else stream


def environment_seeds(sequence: np.random.SeedSequence, n_envs: int, begin_at: int = 0) -> list[int]:
    """Return one seed in [0, 2^31) per environment, a range that every engine accepts, C++ engines included.

    Where training begins again at a later env step with new episodes, the seeds depend on that step, `begin_at`, so
    that the same episodes are not played twice.
    """
    if begin_at:
        sequence = np.random.SeedSequence(sequence.entropy, spawn_key=(*sequence.spawn_key, begin_at))
    return [int(word >> 1) for word in sequence.generate_state(n_envs, np.uint32)]


def generator(sequence: np.random.SeedSequence, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a torch generator seeded from a stream."""
    word = int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))
    return torch.Generator(device=device).manual_seed(word)
