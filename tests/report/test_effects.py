"""Main effects and interactions: their intervals, by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from acexp.report.cells import Baseline
from acexp.report.effects import effects, interactions
from acexp.report.inference import Interval
from tests.report.scores import grid_of, scores_of

GRID = grid_of({"arch": ("separate", "shared"), "clip": ("none", "norm", "value")})


def test_one_interval_in_twenty_excludes_zero_where_there_is_no_effect() -> None:
    """Six cells of five seeds, of which one spreads much more than the others."""
    rng = np.random.default_rng(12)
    found: dict[str, list[Interval | None]] = {"effect": [], "departure": []}
    for _ in range(400):
        scores = scores_of(GRID, [spread * rng.normal(size=5) for spread in (1, 1, 1, 1, 1, 4)])
        found["effect"] += [e.difference.interval for e in effects(scores, GRID, Baseline(None)) if e.difference]
        found["departure"] += [i.departure.interval for i in interactions(scores, GRID) if i.departure]
    for name, intervals in found.items():
        excluded = [each is not None and each.low * each.high > 0.0 for each in intervals]
        assert None not in intervals, name
        assert 0.02 <= np.mean(excluded) <= 0.08, name


def test_cells_of_two_seeds_give_no_intervals() -> None:
    scores = scores_of(GRID, [np.arange(2.0)] + [np.arange(3.0)] * 5)
    found = {e.level: e.difference.interval for e in effects(scores, GRID, Baseline(None)) if e.difference}
    assert found["shared"] is None
    assert all(i.departure is None or i.departure.interval is None for i in interactions(scores, GRID))


@pytest.mark.parametrize("n_seeds", [1, 2, 3])
def test_nothing_departs_where_one_level_of_a_factor_alone_has_scores(n_seeds: int) -> None:
    """As while a sweep trains: the runs of the other level have no score yet."""
    scores = scores_of(GRID, [np.arange(float(n_seeds))] * 6)[:3]
    found = interactions(scores, GRID)
    assert [i.departure for i in found] == [None] * 3
    assert [i.mean.value for i in found] == [(n_seeds - 1) / 2] * 3
