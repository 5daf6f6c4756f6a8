"""Schedules of rates and coefficients."""

from __future__ import annotations

import math

import pytest
import torch

from acexp.core.annealing import ANNEALINGS, Schedule, require_schedule
from acexp.core.errors import UserError

FIRST = torch.tensor([2.0, 3.0])


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Schedule(), [1.0, 1.0, 1.0, 1.0]),
        (Schedule("none", 0.5), [1.0, 1.0, 1.0, 1.0]),
        (Schedule("linear"), [1.0, 0.75, 0.5, 0.0]),
        (Schedule("linear", 0.2), [1.0, 0.8, 0.6, 0.2]),
        (Schedule("cosine"), [1.0, (1 + math.sqrt(0.5)) / 2, 0.5, 0.0]),
        (Schedule("cosine", 0.2), [1.0, 0.2 + 0.4 * (1 + math.sqrt(0.5)), 0.6, 0.2]),
        (Schedule("linear", 1.0), [1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_the_share_that_is_left_after_a_quarter_a_half_and_all(schedule: Schedule, expected: list[float]) -> None:
    progress = [0.0, 0.25, 0.5, 1.0]
    assert [schedule.share(p) for p in progress] == pytest.approx(expected)
    for p, share in zip(progress, expected, strict=True):
        assert schedule(FIRST, p).tolist() == pytest.approx([2 * share, 3 * share])
    stacked = schedule(FIRST, torch.tensor(progress).unsqueeze(1)).expand(4, 2)
    assert stacked[:, 1].tolist() == pytest.approx([3 * share for share in expected], abs=1e-6)


def test_a_linear_schedule_to_zero_is_what_it_always_was() -> None:
    """To the last bit: the runs of earlier versions are resumed with it."""
    for n in range(100):
        assert torch.equal(Schedule("linear")(FIRST, n / 97), FIRST * (1.0 - n / 97))


def test_what_is_no_schedule_is_refused() -> None:
    for kind in ANNEALINGS:
        require_schedule(kind, 0.5)
    with pytest.raises(UserError, match="no annealing called 'cosinus'"):
        require_schedule("cosinus", 0.0)
    for share in (-0.1, 1.1, math.nan, math.inf):
        with pytest.raises(UserError, match="lies in") as raised:
            require_schedule("linear", share, "clip_")
        assert raised.value.key == "clip_final_share"
