from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from acexp.core.annealing import Schedule
from acexp.core.distributions import distribution_for
from acexp.core.hyperparameters import Hyperparameters
from acexp.core.losses import Objective
from acexp.core.statistics import explained_variance, masked_mean, mean_weights
from acexp.core.types import Batch

VALID = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])


def objective(space: gym.Space[Any], entropy_coef: list[float], value_coef: list[float]) -> Objective:
    return Objective(
        distribution_for(space),
        Hyperparameters(entropy_coef=torch.tensor(entropy_coef), value_coef=torch.tensor(value_coef)),
    )


COINS = objective(gym.spaces.Discrete(2), [0.5, 0.01], [0.25, 2.0])


def batch(policy: torch.Tensor, valid: torch.Tensor = VALID, **changes: torch.Tensor) -> Batch:
    """Two members' three slots, in which nothing happens but what is given."""
    zeros = torch.zeros(valid.shape)
    given = {"actions": zeros.long(), "values": zeros, "advantages": zeros, "returns": zeros, **changes}
    return Batch(policy=policy, valid=valid, weight=mean_weights(valid), **given)


def test_the_actors_loss_is_the_mean_over_each_members_valid_slots() -> None:
    advantages = torch.tensor([[3.0, -1.0, 70.0], [1.0, 2.0, 3.0]])
    losses = COINS.losses(batch(torch.zeros(2, 3, 2), advantages=advantages))
    # log 1/2 for every action: log 2 * (3 - 1) / 2 and log 2 * 6 / 3
    assert losses.actor.tolist() == pytest.approx([np.log(2), 2 * np.log(2)])


def test_the_critics_loss_is_the_mean_square() -> None:
    values = torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    returns = torch.tensor([[2.0, 4.0, 900.0], [1.0, 2.0, 3.0]])
    losses = COINS.losses(batch(torch.zeros(2, 3, 2), values=values, returns=returns))
    # (1 + 4) / 2 and (1 + 4 + 9) / 3
    assert losses.critic.tolist() == pytest.approx([2.5, 14 / 3])
    # log 2 nats, by 0.5 and 0.01
    assert COINS.total("joint", losses).tolist() == pytest.approx(
        [2.5 * 0.25 - 0.5 * np.log(2), 14 / 3 * 2 - 0.01 * np.log(2)]
    )
    assert torch.equal(COINS.total("critic", losses), losses.critic)


def test_the_entropy_loss_weighs_each_member_by_its_own_coefficient() -> None:
    losses = COINS.losses(batch(torch.zeros(2, 3, 2)))
    assert losses.mean_entropy.tolist() == pytest.approx([np.log(2)] * 2)
    assert losses.entropy.tolist() == pytest.approx([-0.5 * np.log(2), -0.01 * np.log(2)])


def test_the_entropy_bonus_anneals_linearly_to_zero() -> None:
    """In the gradient of an update, and in the losses of many that were stacked; actor and critic stay."""
    annealing = replace(COINS, schedules={"entropy_coef": Schedule("linear")})
    torch.manual_seed(0)
    one = batch(torch.randn(2, 3, 2), advantages=torch.randn(2, 3))
    without = replace(COINS, hyperparameters=COINS.hyperparameters.replace(entropy_coef=torch.zeros(2)))
    for share, expected in ((0.0, COINS), (1.0, without)):
        gradient = annealing.at(share).output_gradients(("joint",), one)["joint"]
        for found, wanted in zip(gradient, expected.output_gradients(("joint",), one)["joint"], strict=True):
            assert torch.equal(found, wanted)
    many = Batch.stack([one, one])
    losses = annealing.at(torch.tensor([[0.0], [0.75]])).losses(many)
    assert losses.entropy[1].tolist() == pytest.approx((losses.entropy[0] / 4).tolist())
    assert torch.equal(losses.actor[0], losses.actor[1])
    assert COINS.at(0.75).losses(one).entropy.tolist() == losses.entropy[0].tolist()


def test_a_member_without_valid_slots_has_loss_zero() -> None:
    assert masked_mean(torch.tensor([[5.0]]), torch.tensor([[0.0]])).tolist() == [0.0]
    losses = COINS.losses(batch(torch.ones(2, 3, 2), torch.zeros(2, 3), values=torch.ones(2, 3)))
    assert [x.tolist() for x in losses] == [[0.0, 0.0]] * 4


SPACES = {
    "discrete": gym.spaces.Discrete(4),
    "multidiscrete": gym.spaces.MultiDiscrete([3, 2, 5]),
    "multibinary": gym.spaces.MultiBinary(4),
    "box": gym.spaces.Box(-1.0, 1.0, (3,)),
}


@pytest.mark.parametrize("name", ["joint", "actor", "critic"])
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_the_gradients_are_those_that_autograd_finds(space: gym.Space[Any], name: str) -> None:
    torch.manual_seed(0)
    goal = objective(space, [0.3, 0.02], [0.25, 2.0])
    policy = torch.randn(2, 3, goal.distribution.n_parameters, dtype=torch.float64, requires_grad=True)
    values = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    noise = goal.distribution.draw((2, 3), torch.Generator().manual_seed(1))
    whole = batch(
        policy,
        values=values,
        actions=goal.distribution.sample(policy.detach().float(), noise),
        advantages=torch.randn(2, 3, dtype=torch.float64),
        returns=torch.randn(2, 3),
    )
    loss = goal.total(name, goal.losses(whole)).sum()
    expected = torch.autograd.grad(loss, (policy, values), allow_unused=True)
    found = goal.output_gradients((name,), whole.map(torch.Tensor.detach))[name]
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-8)


def test_explained_variance() -> None:
    returns = torch.tensor([[1.0, 2.0, 3.0]] * 4)
    values = torch.tensor([[1.0, 2.0, 3.0], [2.0, 2.0, 2.0], [11.0, 12.0, 13.0], [3.0, 2.0, 1.0]])
    # perfect; constant; off by a constant, which variance forgives; reversed: residuals of 4 times the variance
    result = explained_variance(values, returns, torch.ones(4, 3))
    assert result.tolist() == pytest.approx([1.0, 0.0, 1.0, -3.0])


def test_explained_variance_of_constant_returns_does_not_exist() -> None:
    assert explained_variance(torch.tensor([[1.0, 2.0]]), torch.tensor([[5.0, 5.0]]), torch.ones(1, 2)).isnan().all()
