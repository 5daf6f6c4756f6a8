from __future__ import annotations

import math

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

from acexp.config.application import compose
from acexp.core.errors import UserError
from acexp.core.observations import leaves_of
from acexp.normalizers import (
    NORMALIZERS,
    REWARD_NORMALIZERS,
    NormalizerConfig,
    ObservationNormalizer,
    RewardNormalizer,
    RewardNormalizerConfig,
    build_observation_normalizer,
)

CPU = torch.device("cpu")


def build(name: str, space: gym.Space[object], n_members: int = 1) -> ObservationNormalizer:
    return build_observation_normalizer(leaves_of(space), n_members, NormalizerConfig(name=name), CPU)


def apply(name: str, space: gym.Space[object], x: object, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Normalize one observation of one member."""
    (result,) = build(name, space).normalized((torch.tensor(x, dtype=dtype)[None, None],))
    return result[0, 0]


def test_bounds_maps_low_to_zero_and_high_to_one() -> None:
    space = spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 10.0], np.float32))
    assert apply("bounds", space, [-2.0, 10.0]).tolist() == [0.0, 1.0]
    assert apply("bounds", space, [0.0, 2.5]).tolist() == [0.5, 0.25]


def test_bounds_divides_an_image_by_255_from_its_raw_dtype() -> None:
    """The exercise asked for the dtype after casting, so its image branch never ran."""
    space = spaces.Box(0, 255, (36, 36), np.uint8)
    result = apply("bounds", space, np.full((36, 36), 255), torch.uint8)
    assert result.dtype == torch.float32
    assert float(result.min()) == float(result.max()) == 1.0
    assert float(apply("bounds", space, np.full((36, 36), 51), torch.uint8).max()) == pytest.approx(0.2)


def test_bounds_with_low_equal_to_high_does_not_divide_by_zero() -> None:
    space = spaces.Box(np.array([5.0, 0.0], np.float32), np.array([5.0, 1.0], np.float32))
    assert apply("bounds", space, [5.0, 1.0]).tolist() == [0.0, 1.0]


def test_bounds_refuses_infinite_bounds_and_names_the_dimensions() -> None:
    space = spaces.Box(np.array([-1.0, -np.inf, 0.0], np.float32), np.array([1.0, 1.0, np.inf], np.float32))
    with pytest.raises(UserError, match=r"2 of 3 dimensions: 1, 2") as refusal:
        build("bounds", space)
    assert "running" in str(refusal.value)


def test_the_largest_float_is_no_bound_either() -> None:
    with pytest.raises(UserError, match="finite bounds"):
        build("bounds", spaces.Box(-np.finfo(np.float32).max, np.finfo(np.float32).max, (2,)))


@pytest.mark.parametrize("name", NORMALIZERS.names)
def test_discrete_parts_are_never_changed(name: str) -> None:
    for space, x in ((spaces.Discrete(5), 3), (spaces.MultiDiscrete([3, 4]), [2, 3])):
        assert apply(name, space, x, torch.int64).tolist() == x
    assert apply(name, spaces.MultiBinary(2), [1.0, 0.0]).tolist() == [1.0, 0.0]


def test_none_is_float_and_otherwise_nothing() -> None:
    assert apply("none", spaces.Box(-2.0, 2.0, (2,)), [-2.0, 1.5]).tolist() == [-2.0, 1.5]
    image = apply("none", spaces.Box(0, 255, (36, 36), np.uint8), np.full((36, 36), 200), torch.uint8)
    assert image.dtype == torch.float32
    assert float(image.max()) == 200.0


def test_running_by_hand() -> None:
    normalizer = build("running", spaces.Box(-np.inf, np.inf, (1,)))
    samples = torch.tensor([[[1.0], [3.0], [999.0]]])
    normalizer.update((samples,), torch.tensor([[True, True, False]]))
    # mean 2, variance 1; the invalid 999 is left out
    (result,) = normalizer.normalized((samples,))
    assert result.flatten().tolist() == pytest.approx([-1.0, 1.0, 10.0], rel=1e-3)  # 997 is clipped at 10


def test_running_softens_pixels_that_hardly_change() -> None:
    """By hand: a pixel that stood at 80 and then shows 180 is off by 100, with a deviation of a tenth of 255."""
    normalizer = build("running", spaces.Box(0, 255, (36, 36), np.uint8))
    still = torch.full((1, 50, 36, 36), 80, dtype=torch.uint8)
    normalizer.update((still,), torch.ones(1, 50, dtype=torch.bool))
    assert normalizer.normalized((still,))[0].abs().max() < 1e-4
    assert normalizer.normalized((still + 100,))[0].mean().item() == pytest.approx(100 / 25.5, rel=1e-3)


def test_running_statistics_belong_to_each_member() -> None:
    normalizer = build("running", spaces.Box(-np.inf, np.inf, (1,)), n_members=2)
    samples = torch.tensor([[[1.0], [3.0]], [[10.0], [30.0]]])
    normalizer.update((samples,), torch.ones(2, 2, dtype=torch.bool))
    (result,) = normalizer.normalized((samples,))
    assert result.flatten().tolist() == pytest.approx([-1.0, 1.0, -1.0, 1.0], rel=1e-3)


@pytest.mark.parametrize(("clip", "largest"), [(3.0, 3.0), (math.inf, 997.0)])
def test_running_clips_where_it_is_told_to(clip: float, largest: float) -> None:
    leaves = leaves_of(spaces.Box(-np.inf, np.inf, (1,)))
    normalizer = build_observation_normalizer(leaves, 1, NormalizerConfig(name="running", clip=clip), CPU)
    normalizer.update((torch.tensor([[[1.0], [3.0]]]),), torch.ones(1, 2, dtype=torch.bool))
    (result,) = normalizer.normalized((torch.tensor([[[999.0], [-995.0]]]),))
    assert result.flatten().tolist() == pytest.approx([largest, -largest], rel=1e-3)


def test_a_bound_of_observations_is_positive() -> None:
    with pytest.raises(UserError, match="positive"):
        NormalizerConfig(name="running", clip=0.0)


def test_running_does_not_change_what_it_is_given() -> None:
    normalizer = build("running", spaces.Box(-np.inf, np.inf, (1,)))
    x = torch.full((1, 4, 1), 50.0)
    normalizer.normalized((x,))
    assert (x == 50.0).all()


@pytest.mark.parametrize(
    ("space", "by_kind", "in_version_1"),
    [
        (spaces.Box(0, 255, (84, 84), np.uint8), "bounds", "bounds"),
        (spaces.Box(-1.0, 1.0, (3,)), "running", "bounds"),
        (spaces.Box(0, 255, (128,), np.uint8), "running", "bounds"),
        (spaces.Box(-np.inf, np.inf, (3,)), "running", "running"),
        (spaces.Box(np.array([-1, -np.inf], np.float32), np.array([1, np.inf], np.float32)), "running", "running"),
    ],
)
def test_auto_takes_what_suits_the_kind_of_observation(
    space: gym.Space[object], by_kind: str, in_version_1: str
) -> None:
    (leaf,) = leaves_of(space)
    assert compose(["normalizer=auto"]).normalizer.name == "by_kind"
    for name, expected in (("by_kind", by_kind), ("auto", in_version_1)):
        built = NORMALIZERS[name].build(leaf, 1, NormalizerConfig(name=name), CPU)
        assert type(built) is NORMALIZERS[expected].build


def test_every_part_of_a_dict_is_normalized_on_its_own() -> None:
    space = spaces.Dict({"a": spaces.Box(0.0, 10.0, (1,)), "b": spaces.Discrete(3), "c": spaces.Box(-4.0, 4.0, (1,))})
    normalizer = build("bounds", space)
    (inputs,) = normalizer((torch.tensor([[[5.0]]]), torch.tensor([[2]]), torch.tensor([[[4.0]]])))
    assert inputs.flatten().tolist() == [0.5, 0.0, 0.0, 1.0, 1.0]


def rewards_of(name: str, gamma: float) -> RewardNormalizer:
    return REWARD_NORMALIZERS[name].build(1, 1, torch.tensor([gamma]), RewardNormalizerConfig(name=name), CPU)


def test_raw_rewards_pass() -> None:
    rewards = torch.tensor([[[5.0]]])
    nothing = torch.zeros(1, 1, 1, dtype=torch.bool)
    assert torch.equal(rewards_of("none", 0.9)(rewards, nothing, ~nothing), rewards)


def test_return_std_divides_by_the_deviation_of_the_discounted_return() -> None:
    # gamma 1: returns so far 2, 4 and, after the end and an invalid slot, 2 again: variance of (2, 4, 2) = 8/9.
    rewards = torch.tensor([2.0, 2.0, 0.0, 2.0]).view(4, 1, 1)
    done = torch.tensor([False, True, False, False]).view(4, 1, 1)
    valid = torch.tensor([True, True, False, True]).view(4, 1, 1)
    scaled = rewards_of("return_std", 1.0)(rewards, done, valid)
    assert scaled.flatten().tolist() == pytest.approx([x / (8 / 9) ** 0.5 for x in (2.0, 2.0, 0.0, 2.0)], rel=1e-3)


def test_return_std_carries_the_return_into_the_next_rollout() -> None:
    normalizer = rewards_of("return_std", 1.0)
    one = torch.ones(1, 1, 1)
    no, yes = torch.zeros(1, 1, 1, dtype=torch.bool), torch.ones(1, 1, 1, dtype=torch.bool)
    normalizer(one, no, yes)
    second = normalizer(one, no, yes)
    # returns 1, 2: variance 1/4, so a reward of 1 becomes 2.
    assert float(second) == pytest.approx(2.0, rel=1e-2)


def test_return_std_is_clipped_at_ten() -> None:
    normalizer = rewards_of("return_std", 0.0)
    no, yes = torch.zeros(2, 1, 1, dtype=torch.bool), torch.ones(2, 1, 1, dtype=torch.bool)
    for _ in range(200):
        normalizer(torch.tensor([1.0, -1.0]).view(2, 1, 1), no, yes)
    assert float(normalizer(torch.tensor([500.0, 0.0]).view(2, 1, 1), no, yes).max()) == 10.0
