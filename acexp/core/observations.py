"""Observation spaces split into leaves, and the encoding of leaves as the tensors that a network reads.

A Dict or Tuple space is a tree; each of its leaves is normalized and encoded on its own. A plain space is a tree with
one leaf, so that all spaces are treated alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from acexp.core.arrays import Array, library, one_hot
from acexp.core.errors import UserError

Leaves = tuple[Array, ...]
Inputs = tuple[Array, ...]

SMALLEST_IMAGE_SIDE = 36
"""The smallest side that the Nature CNN's three convolutions accept; a smaller uint8 array is read as a vector."""

LONG_ONE_HOT = 4096
"""The length from which networks can read one-hot vectors as the indices of their ones: a million states of a batch of
128 slots are 1.5 GB as vectors, and 1 KB as indices."""

EXACT_IN_FLOAT32 = 2**24
"""The whole number up to which float32 has them all."""

PRACTICALLY_INFINITE = 1e10
"""The magnitude beyond which a bound counts as infinite: some environments use the largest float32 for infinity."""


def is_infinite(bound: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where a bound of a Box, of observations or of actions, counts as infinite."""
    # It is compared in float64, since its own dtype may be too narrow for PRACTICALLY_INFINITE.
    infinite: NDArray[np.bool_] = np.abs(bound.astype(np.float64)) > PRACTICALLY_INFINITE
    return infinite


class LeafKind(Enum):
    """What a leaf contains; its kind decides how it is stored, normalized and encoded."""

    VECTOR = "vector"
    IMAGE = "image"
    DISCRETE = "discrete"
    BINARY = "binary"


_STORED_AS = {
    LeafKind.VECTOR: torch.float32,
    LeafKind.IMAGE: torch.uint8,
    LeafKind.DISCRETE: torch.int64,
    LeafKind.BINARY: torch.float32,
}


@dataclass(frozen=True, slots=True)
class Leaf:
    """One array of an observation.

    Attributes:
        path: Position in the tree, for messages: `observation`, or `observation["camera"][0]`.
        keys: The same position as keys and indices, to select the leaf from a batch.
        kind: What the leaf contains; see LeafKind.
        shape: Shape of one observation, as the environment returns it.
        given_as: Name of the dtype in which the environment returns it.
        low, high: Bounds of a VECTOR or IMAGE leaf, `[*shape]`; None otherwise.
        categories: Sizes of the one-hot vectors of a DISCRETE leaf, one per component.
        start: The values that count as category 0, one per component.
    """

    path: str
    keys: tuple[str | int, ...]
    kind: LeafKind
    shape: tuple[int, ...]
    given_as: str
    low: NDArray[Any] | None = None
    high: NDArray[Any] | None = None
    categories: tuple[int, ...] = ()
    start: tuple[int, ...] = ()

    @property
    def dtype(self) -> torch.dtype:
        """The dtype in which a rollout stores the leaf."""
        return _STORED_AS[self.kind]

    @property
    def unbounded(self) -> list[int]:
        """The flat indices of the dimensions with an infinite bound."""
        if self.low is None or self.high is None:
            return []
        return [int(i) for i in np.flatnonzero(is_infinite(self.low) | is_infinite(self.high))]

    @property
    def encoded_shape(self) -> tuple[int, ...]:
        """The shape of one encoded observation: `(features,)`, or `(channels, height, width)` of an image."""
        if self.kind is LeafKind.IMAGE:
            return _image_layout(self.shape)[1]
        if self.kind is LeafKind.DISCRETE:
            return (sum(self.categories),)
        return (math.prod(self.shape),)

    def contains(self, x: Array) -> Array:
        """Return where values, `[..., *shape]` as they are stored, can be encoded: bool of the same shape."""
        xp = library(x)
        if self.kind is LeafKind.DISCRETE:
            low, n = (xp.asarray(each, device=x.device).reshape(self.shape) for each in (self.start, self.categories))
            within: Array = (x >= low) & (x < low + n)
            return within
        finite: Array = xp.isfinite(x)
        return finite

    def encode(self, x: Array) -> Array:
        """Encode the leaf's values for a network: `[M, B, *shape]` -> float32 `[M, B, *encoded_shape]`."""
        if self.kind is LeafKind.IMAGE:
            order, shape = _image_layout(self.shape)
            return x.permute(0, 1, *(axis + 2 for axis in order)).reshape(*x.shape[:2], *shape)
        if self.kind is LeafKind.DISCRETE:
            components = x.reshape(*x.shape[:2], len(self.categories))
            vectors = [
                one_hot(components[..., i] - start, n)
                for i, (start, n) in enumerate(zip(self.start, self.categories, strict=True))
            ]
            return _concatenate(vectors)
        return x if len(self.shape) == 1 else x.reshape(*x.shape[:2], math.prod(self.shape))


def _image_layout(shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, int, int]]:
    """Return the order of axes that puts an image's channels first, and the resulting (channels, height, width).

    Accepts `[H, W]`, `[C, H, W]`, `[H, W, C]` and stacks `[S, C, H, W]`, `[S, H, W, C]`, whose frames become channels.
    The channel axis is the first or last axis of a frame, whichever is shorter; the first if they are equal.
    """
    if len(shape) == 2:
        return (0, 1), (1, *shape)
    stack = tuple(range(len(shape) - 3))
    a, b, c = range(len(shape) - 3, len(shape))
    channels, height, width = (a, b, c) if shape[a] <= shape[c] else (c, a, b)
    n_channels = math.prod(shape[axis] for axis in (*stack, channels))
    return (*stack, channels, height, width), (n_channels, shape[height], shape[width])


def _is_image(space: spaces.Box) -> bool:
    if space.dtype != np.uint8 or len(space.shape) not in (2, 3, 4):
        return False
    _, (_, height, width) = _image_layout(space.shape)
    return min(height, width) >= SMALLEST_IMAGE_SIDE


def read_as_vector(leaf: Leaf) -> str | None:
    """Return a sentence that says why an array that looks like an image is read as a vector; None for other leaves."""
    if leaf.kind is not LeafKind.VECTOR or len(leaf.shape) not in (2, 3, 4):
        return None
    _, (_, height, width) = _image_layout(leaf.shape)
    is_large = min(height, width) >= SMALLEST_IMAGE_SIDE
    if leaf.given_as == "uint8":
        why = f"an image has sides of {SMALLEST_IMAGE_SIDE} or more, and this one is {height} x {width}"
    elif is_large:
        why = f"an image is an array of dtype uint8, and this one is {leaf.given_as}"
    else:
        return None
    return f"{leaf.path} {leaf.shape} is read as a vector of {math.prod(leaf.shape):,} numbers: {why}."


def loses_digits(leaf: Leaf) -> str | None:
    """Return a sentence about whole numbers that are too large to be stored exactly; None for other leaves."""
    if leaf.kind is not LeafKind.VECTOR or leaf.low is None or not np.issubdtype(leaf.low.dtype, np.integer):
        return None
    bounds = np.abs(np.array([leaf.low, leaf.high], np.float64))
    if bounds.max() <= EXACT_IN_FLOAT32:
        return None
    return f"{leaf.path} of {leaf.given_as} is read as float32, which is exact for whole numbers up to 16,777,216 only."


def leaves_of(space: gym.Space[Any], path: str = "observation", keys: tuple[str | int, ...] = ()) -> tuple[Leaf, ...]:
    """Return the leaves of an observation space in the order of its keys, without those that hold no value.

    Raises UserError if one is unsupported.
    """
    if isinstance(space, spaces.Box | spaces.MultiDiscrete | spaces.MultiBinary) and not math.prod(space.shape):
        return ()
    given_as = str(space.dtype)
    match space:
        case spaces.Dict():
            parts = [leaves_of(part, f"{path}[{key!r}]", (*keys, key)) for key, part in space.spaces.items()]
            return tuple(leaf for part in parts for leaf in part)
        case spaces.Tuple():
            parts = [leaves_of(part, f"{path}[{i}]", (*keys, i)) for i, part in enumerate(space.spaces)]
            return tuple(leaf for part in parts for leaf in part)
        case spaces.Discrete():
            leaf = Leaf(
                path, keys, LeafKind.DISCRETE, (), given_as, categories=(int(space.n),), start=(int(space.start),)
            )
            return (leaf,)
        case spaces.MultiDiscrete():
            sizes = tuple(int(n) for n in space.nvec.reshape(-1))
            start = tuple(int(s) for s in np.asarray(space.start).reshape(-1))
            return (Leaf(path, keys, LeafKind.DISCRETE, space.shape, given_as, categories=sizes, start=start),)
        case spaces.MultiBinary():
            return (Leaf(path, keys, LeafKind.BINARY, space.shape, given_as),)
        case spaces.Box():
            kind = LeafKind.IMAGE if _is_image(space) else LeafKind.VECTOR
            return (Leaf(path, keys, kind, space.shape, given_as, low=space.low, high=space.high),)
    raise UserError(
        f"An {path} from {space} is not supported.",
        key="env.id",
        choices=("Box", "Discrete", "MultiDiscrete", "MultiBinary", "Dict", "Tuple"),
        remedy="leave the part out, 'env.wrappers=[{name: FilterObservation, filter_keys: [...]}]', "
        "or wrap the environment so that it observes one of these",
    )


def pick(observation: Any, leaf: Leaf) -> NDArray[Any]:
    """Select a leaf's array from a batched observation: `[E, *shape]`."""
    for key in leaf.keys:
        observation = observation[key]
    return np.asarray(observation)


def input_shapes(leaves: tuple[Leaf, ...]) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of a network's inputs: one vector of all non-image leaves, if any, then each image."""
    images = tuple(leaf.encoded_shape for leaf in leaves if leaf.kind is LeafKind.IMAGE)
    width = sum(leaf.encoded_shape[0] for leaf in leaves if leaf.kind is not LeafKind.IMAGE)
    return (((width,),) if width else ()) + images


def are_long_one_hots(leaves: tuple[Leaf, ...]) -> bool:
    """Return True if a network's only input is a one-hot vector for each discrete value, and these are long."""
    return (
        all(leaf.kind is LeafKind.DISCRETE for leaf in leaves)
        and sum(leaf.encoded_shape[0] for leaf in leaves) >= LONG_ONE_HOT
    )


def encode_as_indices(leaves: tuple[Leaf, ...], values: Leaves) -> Inputs:
    """Return where the ones are in what `encode` would return for discrete leaves: int64 `[M, B, n]`, n ones each.

    As in `one_hot`, a value out of range counts as the nearest one.
    """
    parts = []
    before = 0
    for leaf, x in zip(leaves, values, strict=True):
        sizes = torch.tensor(leaf.categories, device=x.device)
        index = x.reshape(*x.shape[:2], len(leaf.categories)) - torch.tensor(leaf.start, device=x.device)
        parts.append(torch.minimum(index.clamp(min=0), sizes - 1) + before + sizes.cumsum(0) - sizes)
        before += leaf.encoded_shape[0]
    return (torch.cat(parts, -1),)


def encode(leaves: tuple[Leaf, ...], values: Leaves) -> Inputs:
    """Encode normalized leaves `[M, B, *shape]` as a network's inputs, `[M, B, *input_shape]` each."""
    encoded = [leaf.encode(value) for leaf, value in zip(leaves, values, strict=True)]
    if len(encoded) == 1:
        return (encoded[0],)
    vectors = [x for leaf, x in zip(leaves, encoded, strict=True) if leaf.kind is not LeafKind.IMAGE]
    images = tuple(x for leaf, x in zip(leaves, encoded, strict=True) if leaf.kind is LeafKind.IMAGE)
    return ((_concatenate(vectors),) if vectors else ()) + images


def _concatenate(vectors: list[Array]) -> Array:
    joined: Array = vectors[0] if len(vectors) == 1 else library(vectors[0]).concatenate(vectors, -1)
    return joined
