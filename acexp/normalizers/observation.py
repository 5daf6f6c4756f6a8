"""Observation normalization, leaf by leaf, and the conversion of raw leaves to a network's inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from acexp.core.arrays import Array, Views, as_float32, at_least, at_most, computes_in_numpy, like, put
from acexp.core.configs.normalizers import NormalizerConfig
from acexp.core.errors import UserError
from acexp.core.observations import Inputs, Leaf, LeafKind, Leaves, encode, encode_as_indices
from acexp.core.registry import Registry
from acexp.core.statistics import initial_moments, merge
from acexp.core.statistics import put as put_moments

EPSILON = 1e-8
PIXEL_DEVIATION = 0.1
NUMERIC = (LeafKind.VECTOR, LeafKind.IMAGE)


class LeafNormalizer(Protocol):
    """The interface of a normalizer of one numeric leaf. Discrete leaves are not normalized.

    It is built as `LeafNormalizer(leaf, n_members, config, device)`. Register a class of your own with
    `@NORMALIZERS.register("name")`.
    """

    def __call__(self, x: Tensor) -> Tensor:
        """Normalize raw `[M, B, *shape]` in the leaf's dtype to float32 of the same shape, without changing `x`."""

    def update(self, x: Tensor, valid: Tensor) -> None:
        """Learn from a rollout's raw observations `[M, B, *shape]` where `valid`, bool `[M, B]`, is True."""

    def state(self) -> dict[str, Tensor]:
        """Return the learned tensors, `[M, ...]` each: not copies, so that they can be restored in place."""


Builder = Callable[[Leaf, int, NormalizerConfig, torch.device], LeafNormalizer]
NORMALIZERS: Registry[Builder] = Registry("normalizer", NormalizerConfig)


@NORMALIZERS.register("none")
class Unchanged:
    """Observations without normalization, in float32."""

    in_numpy = True

    def __init__(self, leaf: Leaf, n_members: int, config: NormalizerConfig, device: torch.device) -> None:
        pass

    def __call__(self, x: Array) -> Array:
        return as_float32(x)

    def update(self, x: Array, valid: Array) -> None:
        pass

    def state(self) -> dict[str, Tensor]:
        return {}


@NORMALIZERS.register("bounds")
class Bounds:
    """Observations scaled from the space's bounds, which must be finite, to [0, 1]; images to pixel / 255."""

    in_numpy = True

    def __init__(self, leaf: Leaf, n_members: int, config: NormalizerConfig, device: torch.device) -> None:
        if leaf.unbounded:
            dimensions = ", ".join(map(str, leaf.unbounded[:12])) + (", ..." if len(leaf.unbounded) > 12 else "")
            raise UserError(
                f"normalizer=bounds needs finite bounds, but {leaf.path} has none in {len(leaf.unbounded)} of "
                f"{_size(leaf)} dimensions: {dimensions}.",
                key="normalizer.name",
                value=config.name,
                choices=("running", "none", "auto"),
                remedy="normalizer=running learns mean and variance instead",
            )
        low = torch.as_tensor(leaf.low, dtype=torch.float32, device=device)
        span = torch.as_tensor(leaf.high, dtype=torch.float32, device=device) - low
        self._low = low
        self._span = torch.where(span == 0.0, 1.0, span)
        self._is_plain_image = leaf.kind is LeafKind.IMAGE and bool((low == 0.0).all() and (span == 255.0).all())

    def __call__(self, x: Array) -> Array:
        if self._is_plain_image:
            pixels = as_float32(x)
            pixels /= 255.0
            return pixels
        low, span = like(x, self._low, self._span)
        return (x - low) / span

    def update(self, x: Array, valid: Array) -> None:
        pass

    def state(self) -> dict[str, Tensor]:
        return {}


@NORMALIZERS.register("running")
class Running:
    """Observations scaled by each member's running mean and variance, clipped; updated once per rollout.

    The statistics are updated after the rollout has been evaluated. For images, the square of a tenth of a pixel's
    range is added to the variance: otherwise a pixel that has hardly ever changed would reach the network at the
    clipping limit when it first changes, and disturb the critic.
    """

    in_numpy = True

    def __init__(self, leaf: Leaf, n_members: int, config: NormalizerConfig, device: torch.device) -> None:
        self._clip = config.clip
        self._moments = initial_moments(n_members, leaf.shape, device)
        self._added_variance = (PIXEL_DEVIATION * 255.0) ** 2 if leaf.kind is LeafKind.IMAGE else EPSILON
        self._mean = torch.zeros(n_members, 1, *leaf.shape, device=device)
        self._scale = torch.ones(n_members, 1, *leaf.shape, device=device)
        self._used = Views(self._mean, self._scale)

    def __call__(self, x: Array) -> Array:
        mean, scale = self._used.like(x)
        return at_most(at_least((x - mean) * scale, -self._clip), self._clip)

    def update(self, x: Array, valid: Array) -> None:
        moments = merge(self._moments, x, valid)
        put_moments(self._moments, moments)
        mean, scale = self._used.like(x)
        put(mean, moments.mean[:, None])
        put(scale, ((moments.variance + self._added_variance) ** -0.5)[:, None])

    def state(self) -> dict[str, Tensor]:
        return {**self._moments._asdict(), "used_mean": self._mean, "used_scale": self._scale}


@NORMALIZERS.register("by_kind")
def by_kind(leaf: Leaf, n_members: int, config: NormalizerConfig, device: torch.device) -> LeafNormalizer:
    """Use `bounds` for images and `running` for vectors: the choice `normalizer=auto`, made by measurement."""
    return NORMALIZERS["bounds" if leaf.kind is LeafKind.IMAGE else "running"].build(leaf, n_members, config, device)


@NORMALIZERS.register("auto")
def by_bounds(leaf: Leaf, n_members: int, config: NormalizerConfig, device: torch.device) -> LeafNormalizer:
    """Use `bounds` for images and finite Boxes, `running` for unbounded ones: `normalizer=auto` of version 0.1.

    The configs of its runs have this name.
    """
    return NORMALIZERS["running" if leaf.unbounded else "bounds"].build(leaf, n_members, config, device)


def _size(leaf: Leaf) -> int:
    return 0 if leaf.low is None else leaf.low.size


class ObservationNormalizer:
    """Converts raw leaves to a network's inputs: numeric leaves are normalized, then every leaf is encoded.

    With `as_indices`, all leaves are discrete, and the input is the indices of their ones, int64 `[M, B, n]`.
    """

    def __init__(
        self, leaves: Sequence[Leaf], normalizers: Sequence[LeafNormalizer | None], *, as_indices: bool = False
    ) -> None:
        self.leaves = tuple(leaves)
        self._normalizers = tuple(normalizers)
        self._encode = encode_as_indices if as_indices else encode

    @property
    def in_numpy(self) -> bool:
        """Whether its formulas can compute with NumPy arrays as well."""
        return self._encode is encode and all(each is None or computes_in_numpy(each) for each in self._normalizers)

    def __call__(self, values: Leaves) -> Inputs:
        """Normalize and encode raw leaves `[M, B, *shape]` as inputs `[M, B, *input_shape]`."""
        return self._encode(self.leaves, self.normalized(values))

    def normalized(self, values: Leaves) -> Leaves:
        """Return the normalized leaves, of the same shapes as the raw ones; discrete leaves are unchanged."""
        pairs = zip(self._normalizers, values, strict=True)
        return tuple(x if normalizer is None else normalizer(x) for normalizer, x in pairs)

    @property
    def names(self) -> tuple[str, ...]:
        """The name in NORMALIZERS of the normalizer that each leaf has; `none` for no numbers."""
        return tuple("none" if each is None else _name(each) for each in self._normalizers)

    def update(self, values: Leaves, valid: Array) -> None:
        """Learn from a rollout's raw leaves `[M, B, *shape]` where `valid`, bool `[M, B]`, is True."""
        for normalizer, x in zip(self._normalizers, values, strict=True):
            if normalizer is not None:
                normalizer.update(x, valid)

    def state(self) -> dict[str, Tensor]:
        """Return the learned tensors, not copies, under `<leaf's path>.<name>`."""
        pairs = zip(self.leaves, self._normalizers, strict=True)
        return {f"{leaf.path}.{k}": v for leaf, n in pairs if n is not None for k, v in n.state().items()}


def _name(normalizer: LeafNormalizer) -> str:
    """Return the name under which a normalizer's class is registered, or else the name of the class."""
    registered = {NORMALIZERS[name].build: name for name in NORMALIZERS.names}
    return registered.get(type(normalizer), type(normalizer).__name__)


def build_observation_normalizer(
    leaves: Sequence[Leaf], n_members: int, config: NormalizerConfig, device: torch.device, *, as_indices: bool = False
) -> ObservationNormalizer:
    """Build a normalizer for each numeric leaf. Raises UserError if the chosen one requires finite bounds."""
    build = NORMALIZERS[config.name].build
    normalizers = [build(leaf, n_members, config, device) if leaf.kind in NUMERIC else None for leaf in leaves]
    return ObservationNormalizer(leaves, normalizers, as_indices=as_indices)
