"""The checksum of an episode depends on all that it has shown, and on nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from acexp.engines import checksum
from acexp.engines.checksum import Checksums

N_STEPS, N_ENVS = 40, 3


class History(NamedTuple):
    """What environments have shown: observations `[T, E, ...]` by name; `[T, E]` each, rewards, ends, resets."""

    observations: dict[str, NDArray[Any]]
    rewards: NDArray[np.float64]
    ends: NDArray[np.bool_]
    is_reset: NDArray[np.bool_]


def history() -> History:
    draw = np.random.default_rng(0)
    shape = (N_STEPS, N_ENVS)
    is_reset = draw.random(shape) < 0.05
    is_reset[0] = True
    is_reset[10:, 0] = False  # its episode is the longest one
    observations = {
        "vector": draw.random((*shape, 5), np.float32),
        "image": draw.integers(256, size=(*shape, 7, 3), dtype=np.uint8),
        "number": draw.integers(10, size=shape),
        "another number": draw.integers(10, 20, size=shape),
    }
    return History(observations, draw.random(shape), np.zeros(shape, np.bool_), is_reset)


def checksums(shown: History, environments: Sequence[int] = range(N_ENVS), first: int = 0) -> list[int]:
    which = list(environments)
    found = Checksums(len(which))
    for t in range(first, N_STEPS):
        observations = {name: array[t, which] for name, array in shown.observations.items()}
        found.add(observations, shown.rewards[t, which], shown.ends[t, which], shown.is_reset[t, which])
    return found.values()


def test_they_depend_neither_on_the_other_environments_nor_on_earlier_episodes() -> None:
    shown = history()
    together = checksums(shown)
    begins = [int(np.flatnonzero(shown.is_reset[:, i])[-1]) for i in range(N_ENVS)]
    assert len(set(begins)) > 1
    assert [checksums(shown, [i], begin)[0] for i, begin in enumerate(begins)] == together


@pytest.mark.parametrize("n", [1, 2, 7, N_STEPS])
def test_they_do_not_depend_on_how_many_steps_are_added_at_once(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    expected = checksums(history())
    monkeypatch.setattr(checksum, "MOST_STEPS", n)
    assert checksums(history()) == expected
    monkeypatch.setattr(checksum, "MOST_BYTES", 1)
    assert checksums(history()) == expected


def test_a_checksum_goes_on_from_one_that_was_saved() -> None:
    shown = history()
    saved = Checksums(1)
    for t in range(N_STEPS):
        if t == 25:
            (value,) = saved.values()
            saved = Checksums(1)
            saved.replace(0, value)
        observations = {name: array[t, [0]] for name, array in shown.observations.items()}
        saved.add(observations, shown.rewards[t, [0]], shown.ends[t, [0]], shown.is_reset[t, [0]])
    assert saved.values() == checksums(shown, [0])


@pytest.mark.parametrize("t", [12, N_STEPS - 2])
@pytest.mark.parametrize("part", ["vector", "image", "number", "exchanged", "reward", "sign", "end", "order"])
def test_every_change_changes_them(part: str, t: int) -> None:
    before, shown = checksums(history()), history()
    match part:
        case "vector":
            shown.observations["vector"][t, 0, 4] = np.nextafter(shown.observations["vector"][t, 0, 4], np.float32(2))
        case "image":
            shown.observations["image"][t, 0, 6, 2] ^= 1
        case "number":
            shown.observations["number"][t, 0] += 1
        case "exchanged":
            one, other = shown.observations["number"], shown.observations["another number"]
            one[t, 0], other[t, 0] = int(other[t, 0]), int(one[t, 0])
        case "reward":
            shown.rewards[t, 0] = np.nextafter(shown.rewards[t, 0], 2.0)
        case "sign":
            shown.rewards[t, 0] *= -1.0
        case "end":
            shown.ends[t, 0] = True
        case "order":
            for array in (*shown.observations.values(), shown.rewards):
                array[[t, t + 1], 0] = array[[t + 1, t], 0]
    after = checksums(shown)
    assert after[0] != before[0]
    assert after[1:] == before[1:]
