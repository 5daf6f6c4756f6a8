"""The operations of formulas that compute with NumPy arrays as they do with PyTorch tensors.

For small networks the time of an update is that of calls, and a call of NumPy takes a fraction of one of PyTorch. Each
formula is therefore written once, for both: with operators, methods and functions that have the same names in both
libraries, and with the functions below where they have not. The arrays that a formula gets decide which library
computes; it never gets both kinds. States are always tensors, and `like` returns arrays that share their memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    Array = Tensor
    """A NumPy array or a PyTorch tensor. Type checkers know what both have in common by the tensor."""
else:
    Array = Tensor | np.ndarray

_aten = torch.ops.aten


def library(x: Array) -> Any:
    """Return the module whose functions take `x`: numpy or torch."""
    return np if isinstance(x, np.ndarray) else torch


def like(x: Array, *states: Tensor) -> tuple[Array, ...]:
    """Return tensors as they are, or, if `x` is a NumPy array, as NumPy arrays that share their memory."""
    return as_arrays(states) if isinstance(x, np.ndarray) else states


class Views:
    """Tensors that formulas use all the time, and NumPy arrays that share their memory if they are on the CPU."""

    def __init__(self, *tensors: Tensor) -> None:
        self._tensors = tensors
        self._arrays = as_arrays(tensors) if all(tensor.device.type == "cpu" for tensor in tensors) else ()

    def like(self, x: Array) -> tuple[Array, ...]:
        """Return the tensors, or, if `x` is a NumPy array, the arrays."""
        return self._arrays if isinstance(x, np.ndarray) else self._tensors


def as_arrays(tensors: Sequence[Tensor]) -> tuple[Array, ...]:
    """Return NumPy arrays that share the memory of the tensors."""
    return tuple(tensor.numpy() for tensor in tensors)


def as_tensor(x: Array) -> Tensor:
    """Return a tensor that shares the memory of `x`."""
    return torch.from_numpy(x) if isinstance(x, np.ndarray) else x


def as_float32(x: Array) -> Array:
    """Return `x` in float32; not a copy if it is already."""
    return x.astype(np.float32, copy=False) if isinstance(x, np.ndarray) else x.to(torch.float32)


def as_float64(x: Array) -> Array:
    """Return `x` in float64; not a copy if it is already."""
    return x.astype(np.float64, copy=False) if isinstance(x, np.ndarray) else x.to(torch.float64)


def contiguous(x: Array) -> Array:
    """Return `x`, or a copy of it, whose entries lie in memory in the order of its axes."""
    return np.ascontiguousarray(x) if isinstance(x, np.ndarray) else x.contiguous()


def copy(x: Array) -> Array:
    """Return a copy of `x`."""
    return x.copy() if isinstance(x, np.ndarray) else x.clone()


def at_least(x: Array, bound: float) -> Array:
    """Return the larger of each entry and the bound."""
    return np.maximum(x, bound) if isinstance(x, np.ndarray) else x.clamp(min=bound)


def at_most(x: Array, bound: float) -> Array:
    """Return the smaller of each entry and the bound."""
    return np.minimum(x, bound) if isinstance(x, np.ndarray) else x.clamp(max=bound)


def affine(x: Array, weight: Array, bias: Array) -> Array:
    """Return `x weight + bias`: `[M, B, in]`, `[M, in, out]`, `[M, 1, out]` -> `[M, B, out]`."""
    if isinstance(x, np.ndarray):
        result = np.matmul(x, weight)
        result += bias
        return result
    return torch.baddbmm(bias, x, weight)


def stack(parts: Sequence[Array]) -> Array:
    """Return arrays of one shape along a new first axis."""
    if isinstance(parts[0], np.ndarray):
        # np.stack takes twice as long, because it makes a view of each part.
        return np.concatenate(parts).reshape(len(parts), *parts[0].shape)
    return torch.stack(tuple(parts))


def repeat(x: Array, n: int) -> Array:
    """Repeat the only row of each member n times: `[M, 1, K]` -> `[M, n, K]`."""
    return np.repeat(x, n, 1) if isinstance(x, np.ndarray) else x.expand(-1, n, -1)


def add_product(x: Array, a: Array, b: Array) -> Array:
    """Return `x + a b`."""
    return x + a * b if isinstance(x, np.ndarray) else torch.addcmul(x, a, b)


def add_product_(x: Array, a: Array, b: Array, factor: float) -> None:
    """Add `factor a b` to `x` in place."""
    if isinstance(x, np.ndarray):
        product = a * b
        product *= factor
        x += product
    else:
        x.addcmul_(a, b, value=factor)


def lerp_(x: Array, end: Array, share: float) -> None:
    """Move `x` a share of its way to `end`, in place."""
    if isinstance(x, np.ndarray):
        way = end - x
        way *= share
        x += way
    else:
        x.lerp_(end, share)


def put(target: Array, source: Array) -> None:
    """Copy the entries of `source` into `target`."""
    if isinstance(target, np.ndarray):
        target[...] = source
    else:
        target.copy_(source)


def length(x: Array) -> Array:
    """Return the Euclidean norm of the vectors on the last axis: `[..., n]` -> `[...]`."""
    if isinstance(x, np.ndarray):
        return np.sqrt(np.vecdot(x, x))
    return torch.linalg.vector_norm(x, dim=-1)


def one_hot(x: Array, n: int) -> Array:
    """Return vectors of 0 with a 1 at the index: integers `[...]` -> float32 `[..., n]`.

    An index out of range counts as the nearest one. Such observations end their member once the rollout is complete,
    and the other members of a population go on.
    """
    if isinstance(x, np.ndarray):
        return _identity(n).take(x, 0, mode="clip")
    return F.one_hot(x.clamp(0, n - 1), n).to(torch.float32)


@lru_cache
def _identity(n: int) -> Array:
    return np.eye(n, dtype=np.float32)


def log_softmax(x: Array) -> Array:
    """Return the logarithm of softmax(x) over the last axis, computed without overflow."""
    if isinstance(x, np.ndarray):
        shifted = x - x.max(-1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return F.log_softmax(x, dim=-1)


def pick(x: Array, index: Array) -> Array:
    """Return the entry at the index of the last axis: `[..., n]`, `[...]` -> `[...]`."""
    if isinstance(x, np.ndarray):
        return np.take_along_axis(x, index[..., np.newaxis], -1).squeeze(-1)
    return x.gather(-1, index.unsqueeze(-1)).squeeze(-1)


def add_at(x: Array, index: Array, values: Array) -> None:
    """Add values to the entries at the index of the last axis, in place: `[..., n]`, `[...]`, `[...]`."""
    if isinstance(x, np.ndarray):
        x += one_hot(index, x.shape[-1]) * values[..., np.newaxis]
    else:
        x.scatter_add_(-1, index.unsqueeze(-1), values.unsqueeze(-1))


def relu(x: Array) -> Array:
    """Return the larger of each entry and 0."""
    return np.maximum(x, 0) if isinstance(x, np.ndarray) else torch.relu(x)


def relu_backward(gradient: Array, y: Array) -> Array:
    """Return the gradient with respect to x, given that with respect to `y = relu(x)`."""
    return np.where(y > 0, gradient, 0) if isinstance(y, np.ndarray) else _aten.threshold_backward(gradient, y, 0)


def tanh(x: Array) -> Array:
    """Return the hyperbolic tangent of each entry."""
    return np.tanh(x) if isinstance(x, np.ndarray) else torch.tanh(x)


def tanh_backward(gradient: Array, y: Array) -> Array:
    """Return the gradient with respect to x, given that with respect to `y = tanh(x)`."""
    return gradient * (1.0 - y * y) if isinstance(y, np.ndarray) else _aten.tanh_backward(gradient, y)


def computes_in_numpy(part: object) -> bool:
    """Return True if a part's class says `in_numpy = True`: its formulas are written for both libraries.

    Classes do not inherit this, because one that replaces a formula may have written it for tensors alone.
    """
    return "in_numpy" in vars(type(part)) and bool(part.in_numpy)  # type: ignore[attr-defined]
