from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from acexp.core.errors import UserError
from acexp.core.observations import (
    LONG_ONE_HOT,
    LeafKind,
    are_long_one_hots,
    encode,
    encode_as_indices,
    input_shapes,
    leaves_of,
)


def test_discrete_is_one_hot_from_its_start() -> None:
    leaves = leaves_of(spaces.Discrete(3, start=4))
    (encoded,) = encode(leaves, (torch.tensor([[4, 6]]),))
    assert encoded.tolist() == [[[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]]
    assert input_shapes(leaves) == ((3,),)


def test_multi_discrete_is_a_one_hot_per_component() -> None:
    leaves = leaves_of(spaces.MultiDiscrete([2, 3], start=[0, 1]))
    (encoded,) = encode(leaves, (torch.tensor([[[1, 1]]]),))
    assert encoded.tolist() == [[[0.0, 1.0, 1.0, 0.0, 0.0]]]


def test_multi_binary_is_taken_as_it_is() -> None:
    (encoded,) = encode(leaves_of(spaces.MultiBinary([2, 2])), (torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]]),))
    assert encoded.tolist() == [[[1.0, 0.0, 0.0, 1.0]]]


def test_dict_and_tuple_become_the_concatenation_of_their_parts() -> None:
    space = spaces.Dict(
        {
            "camera": spaces.Box(0, 255, (48, 64, 3), np.uint8),
            "inner": spaces.Tuple((spaces.Discrete(2), spaces.Box(-1, 1, (2,)))),
            "size": spaces.Box(0, 1, ()),
        }
    )
    leaves = leaves_of(space)
    assert [leaf.path for leaf in leaves] == [
        "observation['camera']",
        "observation['inner'][0]",
        "observation['inner'][1]",
        "observation['size']",
    ]
    assert input_shapes(leaves) == ((2 + 2 + 1,), (3, 48, 64))
    image = torch.zeros(1, 1, 48, 64, 3)
    image[..., 1] = 1.0
    vector, picture = encode(
        leaves, (image, torch.tensor([[1]]), torch.tensor([[[0.5, -0.5]]]), torch.tensor([[0.25]]))
    )
    assert vector.tolist() == [[[0.0, 1.0, 0.5, -0.5, 0.25]]]
    assert picture.shape == (1, 1, 3, 48, 64)
    assert picture[0, 0].mean((1, 2)).tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("shape", "encoded"),
    [
        ((84, 84), (1, 84, 84)),
        ((4, 84, 84), (4, 84, 84)),
        ((84, 84, 4), (4, 84, 84)),
        ((210, 160, 3), (3, 210, 160)),
        ((3, 96, 96), (3, 96, 96)),
        ((4, 210, 160, 3), (12, 210, 160)),
        ((4, 3, 96, 96), (12, 96, 96)),
    ],
)
def test_images_in_every_order_become_channels_first(shape: tuple[int, ...], encoded: tuple[int, ...]) -> None:
    leaves = leaves_of(spaces.Box(0, 255, shape, np.uint8))
    assert leaves[0].kind is LeafKind.IMAGE
    assert input_shapes(leaves) == (encoded,)
    assert encode(leaves, (torch.zeros(2, 3, *shape),))[0].shape == (2, 3, *encoded)


def test_channels_and_frames_keep_their_order() -> None:
    leaves = leaves_of(spaces.Box(0, 255, (2, 40, 40, 3), np.uint8))
    x = torch.arange(2)[:, None, None, None] * 10.0 + torch.arange(3)[None, None, None, :]
    (encoded,) = encode(leaves, (x.expand(2, 40, 40, 3)[None, None],))
    assert encoded[0, 0, :, 7, 9].tolist() == [0.0, 1.0, 2.0, 10.0, 11.0, 12.0]


@pytest.mark.parametrize(
    ("shape", "dtype"), [((128,), np.uint8), ((5, 5, 3), np.uint8), ((84, 84, 3), np.float32), ((3,), np.int64)]
)
def test_what_is_no_image_is_a_vector(shape: tuple[int, ...], dtype: type) -> None:
    (leaf,) = leaves_of(spaces.Box(0, 255, shape, dtype))
    assert leaf.kind is LeafKind.VECTOR
    assert leaf.dtype == torch.float32


def test_the_largest_float_counts_as_infinite() -> None:
    largest = np.finfo(np.float32).max
    (leaf,) = leaves_of(spaces.Box(np.array([-1.0, -largest, -np.inf], np.float32), np.ones(3, np.float32)))
    assert leaf.unbounded == [1, 2]


@pytest.mark.parametrize("space", [spaces.Text(3), spaces.Dict({"a": spaces.Sequence(spaces.Discrete(2))})], ids=str)
def test_other_spaces_are_refused_with_the_choices(space: spaces.Space[object]) -> None:
    with pytest.raises(UserError, match="not supported"):
        leaves_of(space)


def test_infinite_bounds_of_half_precision_are_infinite() -> None:
    low, high = np.array([-np.inf, -1], np.float16), np.array([1, 6e4], np.float16)
    (leaf,) = leaves_of(spaces.Box(low, high, dtype=np.float16))
    assert leaf.unbounded == [0]


@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(5, start=-2),
        spaces.MultiDiscrete([3, 2, 4], start=[0, 5, -1]),
        spaces.MultiDiscrete([[3, 2], [4, 2]]),
        spaces.Tuple((spaces.Discrete(3), spaces.MultiDiscrete([2, 2]), spaces.Discrete(4, start=9))),
    ],
    ids=str,
)
def test_indices_are_where_the_ones_of_one_hot_vectors_are(space: spaces.Space[Any]) -> None:
    leaves = leaves_of(space)
    space.seed(0)
    samples = [space.sample() for _ in range(12)]
    values = []
    for leaf in leaves:
        arrays = [np.asarray(sample if not leaf.keys else sample[leaf.keys[0]]) for sample in samples]
        values.append(torch.from_numpy(np.stack(arrays)).to(leaf.dtype).view(2, 6, *leaf.shape))
    (dense,) = encode(leaves, tuple(values))
    (indices,) = encode_as_indices(leaves, tuple(values))
    assert indices.dtype == torch.int64
    ones = torch.zeros_like(dense).scatter_(-1, indices, 1.0)
    assert torch.equal(ones, dense)


def test_long_one_hot_vectors_are_those_of_discrete_leaves_alone() -> None:
    pair = spaces.Tuple((spaces.Discrete(LONG_ONE_HOT - 1), spaces.Discrete(1)))
    assert are_long_one_hots(leaves_of(pair))
    assert not are_long_one_hots(leaves_of(spaces.Discrete(LONG_ONE_HOT - 1)))
    assert not are_long_one_hots(leaves_of(spaces.Tuple((pair, spaces.Box(0.0, 1.0, (2,))))))
