"""It learns. The strictest test there is: a wrong sign, mask or bootstrap anywhere fails here."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from acexp.config import RunConfig
from tests.learning import train_in_memory

Config = Callable[..., RunConfig]

pytestmark = pytest.mark.learning


@pytest.mark.parametrize("parts", [("arch=separate", "optim=single"), ("arch=shared", "optim=dual")], ids=" ".join)
def test_cartpole_reaches_475(config: Config, parts: tuple[str, ...]) -> None:
    """Gymnasium counts CartPole-v1 as solved at a mean of 475 over 100 episodes."""
    settings = ("env=gym", "env.id=CartPole-v1", "total_steps=200000", *parts)
    recent, greedy = train_in_memory([config(*settings, f"seed={seed}") for seed in range(3)])
    assert min(value for value in recent if value is not None) >= 475.0
    assert min(greedy) >= 475.0


@pytest.mark.parametrize("parts", [("arch=separate", "optim=single"), ("arch=shared", "optim=dual")], ids=" ".join)
def test_cliffwalking_walks_along_the_edge(config: Config, parts: tuple[str, ...]) -> None:
    """-13 is the shortest way there is."""
    _, greedy = train_in_memory([config("env=cliffwalking", *parts, f"seed={seed}") for seed in range(4)])
    assert greedy == [-13.0] * 4


def test_halfcheetah_begins_to_run(config: Config) -> None:
    """A tenth of the default budget: standing still pays 0, stumbling less."""
    recent, _ = train_in_memory([config("env=halfcheetah", "total_steps=100000", f"seed={seed}") for seed in range(2)])
    assert all(value is not None and value > 300.0 for value in recent)
