from __future__ import annotations

import math

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

from acexp.core.distributions import distribution_for
from acexp.core.errors import UserError


def test_categorical_by_hand() -> None:
    d = distribution_for(spaces.Discrete(3))
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25]]))
    assert d.log_prob(logits, torch.tensor([1])).tolist() == pytest.approx([math.log(0.25)])
    # -(1/2 log 1/2 + 2 * 1/4 log 1/4) = 1.5 log 2
    assert d.entropy(logits).tolist() == pytest.approx([1.5 * math.log(2)])
    assert d.mode(logits).tolist() == [0]


def test_logits_far_apart_do_not_underflow() -> None:
    """log(softmax) is -inf here; the pixel-fed Pong network of the exercise had such logits."""
    d = distribution_for(spaces.Discrete(2))
    logits = torch.tensor([[0.0, 1000.0]])
    assert d.log_prob(logits, torch.tensor([0])).tolist() == [-1000.0]
    assert torch.isfinite(d.entropy(logits)).all()


def test_categorical_samples_follow_the_softmax() -> None:
    d = distribution_for(spaces.Discrete(3))
    logits = torch.log(torch.tensor([0.6, 0.3, 0.1]))
    noise = d.draw((20_000,), torch.Generator().manual_seed(0))
    share = torch.bincount(d.sample(logits.expand(20_000, 3), noise), minlength=3) / 20_000
    # Three standard deviations of a share are at most 3 * sqrt(0.25 / 20000) = 0.011.
    assert share.tolist() == pytest.approx([0.6, 0.3, 0.1], abs=0.011)


def test_discrete_spaces_with_a_start_get_actions_from_there() -> None:
    d = distribution_for(spaces.Discrete(3, start=5))
    assert d.to_environment(np.array([0, 2])).tolist() == [5, 7]


def test_gaussian_by_hand() -> None:
    d = distribution_for(spaces.Box(-1.0, 1.0, (2,)))
    parameters = torch.tensor([[1.0, 0.0, math.log(2.0), 0.0]])  # means 1, 0; deviations 2, 1
    # N(3; 1, 2) = exp(-1/2) / (2 sqrt(2 pi)), N(0; 0, 1) = 1 / sqrt(2 pi)
    expected = -0.5 - math.log(2.0) - math.log(2 * math.pi)
    assert d.log_prob(parameters, torch.tensor([[3.0, 0.0]])).tolist() == pytest.approx([expected])
    # 1/2 log(2 pi e s^2) each
    assert d.entropy(parameters).tolist() == pytest.approx([math.log(2 * math.pi * math.e) + math.log(2.0)])
    assert d.standard_deviation(parameters).tolist() == pytest.approx([1.5])  # type: ignore[union-attr]


def test_gaussian_actions_are_scaled_to_the_bounds() -> None:
    space = spaces.Box(np.array([0.0, -2.0, -np.inf, 0.0]), np.array([10.0, 2.0, np.inf, np.inf]), dtype=np.float64)
    d = distribution_for(space)
    scaled = d.to_environment(np.array([[0.0, 3.0, 7.0, -1.0], [-1.0, 0.5, -7.0, 4.0]], np.float32))
    # low + (clip(a) + 1) / 2 * (high - low); unbounded as it is; a single bound is kept.
    assert scaled.tolist() == [[5.0, 2.0, 7.0, 0.0], [0.0, 1.0, -7.0, 4.0]]
    assert scaled.dtype == np.float64


def test_multi_discrete_by_hand() -> None:
    d = distribution_for(spaces.MultiDiscrete([2, 3]))
    logits = torch.log(torch.tensor([[0.5, 0.5, 0.2, 0.2, 0.6]]))
    assert d.log_prob(logits, torch.tensor([[0, 2]])).tolist() == pytest.approx([math.log(0.3)])
    assert d.entropy(logits).tolist() == pytest.approx(
        [math.log(2) - 0.4 * math.log(0.2) - 0.6 * math.log(0.6)], rel=1e-5
    )
    assert d.mode(logits)[0, 1] == 2


def test_multi_binary_by_hand() -> None:
    d = distribution_for(spaces.MultiBinary(2))
    logits = torch.logit(torch.tensor([[0.8, 0.5]]))
    assert d.log_prob(logits, torch.tensor([[1.0, 0.0]])).tolist() == pytest.approx([math.log(0.8 * 0.5)])
    expected = -0.8 * math.log(0.8) - 0.2 * math.log(0.2) + math.log(2)
    assert d.entropy(logits).tolist() == pytest.approx([expected])


@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(4),
        spaces.Discrete(4, start=-2),
        spaces.MultiDiscrete([2, 5]),
        spaces.MultiDiscrete([[2, 5], [3, 2]], start=[[1, 1], [0, 0]]),
        spaces.MultiBinary(3),
        spaces.MultiBinary([2, 2]),
        spaces.Box(-2.0, 3.0, (2,)),
        spaces.Box(-2.0, 3.0, (2, 2), np.float64),
        spaces.Box(-1.0, 1.0, ()),
    ],
    ids=str,
)
def test_samples_are_actions_that_the_space_contains(space: gym.Space[object]) -> None:
    d = distribution_for(space)
    noise = d.draw((50,), torch.Generator().manual_seed(0))
    parameters = torch.randn(50, d.n_parameters, generator=torch.Generator().manual_seed(1))
    actions = d.sample(parameters, noise)
    assert d.log_prob(parameters, actions).shape == (50,)
    assert d.entropy(parameters).shape == (50,)
    for action in d.to_environment(actions.numpy()):
        given = np.int64(action) if isinstance(space, spaces.Discrete) else np.asarray(action)
        assert space.contains(given), (space, given)


@pytest.mark.parametrize(
    "space", [spaces.Text(3), spaces.Sequence(spaces.Discrete(2)), spaces.Box(0, 9, (2,), np.int64)], ids=str
)
def test_other_spaces_are_refused_with_the_choices(space: gym.Space[object]) -> None:
    with pytest.raises(UserError, match="not supported") as refusal:
        distribution_for(space)
    assert "Discrete" in refusal.value.choices


@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(3),
        spaces.Discrete(3, start=-4),
        spaces.MultiDiscrete([[3, 2], [4, 5]], start=[[0, 1], [-2, 0]], dtype=np.int32),
        spaces.MultiBinary((2, 3)),
        spaces.Box(-1.0, 1.0, (3,)),
        spaces.Box(-2.0, 7.1, (2, 2)),
        spaces.Box(0.1, 0.3, ()),
        spaces.Box(np.array([0.1, -2.0, -np.inf, 0.0]), np.array([10.0, 2.7, np.inf, np.inf]), dtype=np.float64),
    ],
    ids=str,
)
def test_actions_are_translated_alike_in_numpy_and_torch(space: gym.Space[object]) -> None:
    d = distribution_for(space)
    generator = torch.Generator().manual_seed(0)
    actions = d.sample(torch.zeros(500, d.n_parameters), d.draw((500,), generator))
    wanted, found = d.to_environment(actions.numpy()), d.translate(actions).numpy()
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bounds_of_the_largest_numbers_are_none(dtype: type[np.floating]) -> None:
    """Scaled to them, an action of 0.5 would be 1e38, or infinite."""
    largest = float(np.finfo(dtype).max)
    low, high = np.array([-largest, 0.0], dtype), np.array([largest, largest], dtype)
    d = distribution_for(spaces.Box(low, high, dtype=dtype))
    assert d.to_environment(np.array([[0.5, -0.5], [-7.0, 7.0]], np.float32)).tolist() == [[0.5, 0.0], [-7.0, 7.0]]
