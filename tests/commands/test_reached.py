"""What other seeds of a run's settings reached, told at its end."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace

import pytest

from acexp.commands.reached import Reached, comparison, known_results
from acexp.config import RunConfig, identity

Config = Callable[..., RunConfig]
Acexp = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def entry(config: Config) -> Reached:
    first = config("experiment=lunarlander", "seed=3")
    return Reached(
        "experiment=lunarlander", "LunarLander-v3", 3_000_000, 3, identity(first), 4, 250.0, 240.5, 260.25, 230.0, 270.0
    )


def test_other_seeds_of_the_same_settings_are_told(config: Config, entry: Reached) -> None:
    mine = config("experiment=lunarlander", "seed=8")
    told = "these settings reached 250 [240, 260] in evaluations after training (4 seeds, 230 to 270)"
    assert comparison(mine, 100.0, [entry]) == told
    assert comparison(mine, None, [entry]) == told


def test_settings_that_reach_more_are_named_where_the_run_is_below_them(config: Config, entry: Reached) -> None:
    mine = config("env=lunarlander", "arch=shared", "algo.n_steps=8")
    told = "experiment=lunarlander reached 250 [240, 260] after 3,000,000 env steps (4 seeds, 230 to 270)"
    better = replace(entry, mean=249.0, identity="another")
    assert comparison(mine, 100.0, [better, entry]) == told
    assert comparison(mine, None, [entry]) == told
    assert comparison(mine, 240.5, [entry]) is None, "as good as they are"


def test_another_environment_is_not_compared(config: Config, entry: Reached) -> None:
    assert comparison(config("env=halfcheetah"), 0.0, [entry]) is None
    assert comparison(config("env=lunarlander", "+env.kwargs.gravity=-5"), 0.0, [entry]) is None
    assert comparison(config("env=gym", "env.id=CartPole-v1"), 0.0, known_results()) is None


@pytest.mark.parametrize("entry", known_results(), ids=lambda entry: entry.settings)
def test_what_is_known_is_found_by_its_own_command(config: Config, entry: Reached) -> None:
    """A preset that changes needs new runs: those of the old settings must not be shown for the new ones."""
    mine = config(*entry.settings.split(), "seed=77")
    assert (mine.env.id, mine.total_steps) == (entry.environment, entry.total_steps)
    assert comparison(mine, None, known_results()) == comparison(mine, None, [entry])
    assert f"these settings reached {entry.numbers}" in (comparison(mine, None, [entry]) or "")


def test_the_summary_of_a_run_tells_it(acexp: Acexp) -> None:
    result = acexp("env=cliffwalking", "total_steps=640")
    assert result.returncode == 0, result.stderr
    assert "  compare:       experiment=cliffwalking " in result.stdout
    assert " reached -13.0 " in result.stdout
