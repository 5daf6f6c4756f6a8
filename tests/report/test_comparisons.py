"""What all comparisons of a report promise together, by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from acexp.report.cells import Baseline
from acexp.report.comparisons import Comparison, compare
from acexp.report.inference import ERROR
from tests.report.scores import grid_of, scores_of


def report(rng: np.random.Generator, n: int, shifts: list[float]) -> list[Comparison]:
    """The comparisons with the first cell, whose mean is 0, where seeds share half of their variance."""
    grid = grid_of({"arch": [f"a{i}" for i in range(len(shifts) + 1)]})
    of_seed = rng.normal(size=n)
    values = [shift + of_seed + rng.normal(size=n) for shift in (0.0, *shifts)]
    return compare(scores_of(grid, values), grid, Baseline(None), "beats")


@pytest.mark.parametrize("n", [5, 8, 10])
def test_a_report_of_equal_means_seldom_declares_any_winner(n: int) -> None:
    """Four comparisons with one baseline. With 300 reports, 9% is three standard deviations above 5%."""
    rng = np.random.default_rng(9)
    wrong = sum(any(c.is_decided for c in report(rng, n, [0.0] * 4)) for _ in range(300))
    assert wrong / 300 <= 0.09


def test_a_winner_has_an_interval_without_zero_and_more_seeds_settle_the_others() -> None:
    rng = np.random.default_rng(10)
    decided = 0
    for _ in range(60):
        for c in report(rng, 8, [0.0, 1.0, 3.0]):
            assert c.difference.interval is not None
            low, high = c.difference.interval
            assert not c.is_decided or low * high > 0.0
            assert c.seeds_to_settle is None if c.is_decided else (c.seeds_to_settle or 0) > 8
            decided += c.is_decided
    assert 50 <= decided <= 130


def benjamini_hochberg(p_values: list[float]) -> list[bool]:
    """Which of several hypotheses the method rejects at 5%."""
    order = np.argsort(p_values)
    limits = ERROR * (1.0 + np.arange(len(order))) / len(order)
    below = np.flatnonzero(np.array(p_values)[order] <= limits)
    rejected = np.zeros(len(order), bool)
    if len(below):
        rejected[order[: below[-1] + 1]] = True
    return rejected.tolist()


def test_what_benjamini_and_hochberg_keep() -> None:
    """The expected share of wrong ones among the winners, but not the probability that there is any."""
    rng = np.random.default_rng(11)
    shares, any_wrong = [], 0
    for _ in range(150):
        found = [c.p for _ in range(3) for c in report(rng, 10, [0.0, 0.0, 2.5])]
        winners = benjamini_hochberg(found)
        wrong = sum(is_winner for i, is_winner in enumerate(winners) if i % 3 < 2)
        shares.append(wrong / max(1, sum(winners)))
        any_wrong += wrong > 0
    assert np.mean(shares) <= 0.05
    assert any_wrong / 150 > 0.06
