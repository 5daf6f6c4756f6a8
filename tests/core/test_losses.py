from __future__ import annotations

import pytest
import torch

from acexp.core.losses import entropy_loss, policy_gradient_loss, value_loss
from acexp.core.statistics import explained_variance, masked_mean, mean_weights

VALID = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])


def test_policy_gradient_loss_is_the_mean_over_each_members_valid_slots() -> None:
    log_prob = torch.tensor([[-1.0, -2.0, -50.0], [-1.0, -1.0, -1.0]])
    advantages = torch.tensor([[3.0, -1.0, 70.0], [1.0, 2.0, 3.0]])
    # -(-3 + 2) / 2 and -(-1 - 2 - 3) / 3
    assert policy_gradient_loss(log_prob, advantages, mean_weights(VALID)).tolist() == [0.5, 2.0]


def test_the_advantages_carry_no_gradient() -> None:
    log_prob = torch.tensor([[-1.0]], requires_grad=True)
    advantages = torch.tensor([[2.0]], requires_grad=True)
    policy_gradient_loss(log_prob, advantages, torch.ones(1, 1)).sum().backward()
    assert log_prob.grad is not None
    assert log_prob.grad.tolist() == [[-2.0]]
    assert advantages.grad is None


def test_value_loss_is_the_mean_square() -> None:
    values = torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    returns = torch.tensor([[2.0, 4.0, 900.0], [1.0, 2.0, 3.0]])
    # (1 + 4) / 2 and (1 + 4 + 9) / 3
    assert value_loss(values, returns, mean_weights(VALID)).tolist() == pytest.approx([2.5, 14 / 3])


def test_entropy_loss_weighs_each_member_by_its_own_coefficient() -> None:
    entropy = torch.tensor([2.0, 3.0])
    assert entropy_loss(entropy, torch.tensor([0.5, 0.01])).tolist() == pytest.approx([-1.0, -0.03])


def test_a_member_without_valid_slots_has_loss_zero() -> None:
    assert masked_mean(torch.tensor([[5.0]]), torch.tensor([[0.0]])).tolist() == [0.0]
    assert value_loss(torch.tensor([[5.0]]), torch.zeros(1, 1), mean_weights(torch.tensor([[0.0]]))).tolist() == [0.0]


def test_explained_variance() -> None:
    returns = torch.tensor([[1.0, 2.0, 3.0]] * 4)
    values = torch.tensor([[1.0, 2.0, 3.0], [2.0, 2.0, 2.0], [11.0, 12.0, 13.0], [3.0, 2.0, 1.0]])
    # perfect; constant; off by a constant, which variance forgives; reversed: residuals of 4 times the variance
    result = explained_variance(values, returns, torch.ones(4, 3))
    assert result.tolist() == pytest.approx([1.0, 0.0, 1.0, -3.0])


def test_explained_variance_of_constant_returns_does_not_exist() -> None:
    assert explained_variance(torch.tensor([[1.0, 2.0]]), torch.tensor([[5.0, 5.0]]), torch.ones(1, 2)).isnan().all()
