"""Two environments with a time limit of three steps, counted by hand; each slot after an end is a reset."""

from __future__ import annotations

import numpy as np

from acexp.engines.clock import EpisodeClock


def test_five_slots_by_hand() -> None:
    clock = EpisodeClock(2, limit=3)
    terminations = [[False, True], [False, True], [False, False], [False, False], [True, False]]
    found = []
    for row in terminations:
        reward, terminated = np.ones(2), np.array(row)
        truncated = clock.end_step(reward, terminated)
        found.append((clock.elapsed.tolist(), terminated.tolist(), truncated.tolist(), reward.tolist()))
    assert found == [
        ([1, 1], [False, True], [False, False], [1.0, 1.0]),  # the second one ends
        ([2, 0], [False, False], [False, False], [1.0, 0.0]),  # it is reset: nothing ends and nothing is earned
        ([3, 1], [False, False], [True, False], [1.0, 1.0]),  # the first one reaches the limit
        ([0, 2], [False, False], [False, False], [0.0, 1.0]),
        ([1, 3], [True, False], [False, True], [1.0, 1.0]),
    ]
    copy = EpisodeClock(2, limit=3)
    copy.load([clock.state(0), clock.state(1)])
    assert (copy.elapsed.tolist(), copy.done.tolist()) == ([1, 3], [True, True])
    clock.reset()
    assert (clock.elapsed.tolist(), clock.done.tolist()) == ([0, 0], [False, False])


def test_no_limit_never_truncates() -> None:
    clock = EpisodeClock(1, limit=None)
    assert not any(clock.end_step(np.ones(1), np.zeros(1, np.bool_))[0] for _ in range(1000))
