"""Every operation gives the same numbers for NumPy arrays and for tensors, and leaves the same ones in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from acexp.core import arrays

M, B, N = 2, 5, 4


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


INDEX = torch.tensor([[0, 3, 1, 1, 2], [2, 2, 0, 3, 3]])
X, Y = random(M, B, N), random(M, B, N) + 0.5

PURE: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "as_float32": (arrays.as_float32, (INDEX,)),
    "as_float64": (arrays.as_float64, (X,)),
    "contiguous": (arrays.contiguous, (X.swapaxes(0, 1),)),
    "copy": (arrays.copy, (X,)),
    "at_least": (arrays.at_least, (X, 0.1)),
    "at_most": (arrays.at_most, (X, 0.1)),
    "affine": (arrays.affine, (X, random(M, N, 3), random(M, 1, 3))),
    "stack": (lambda *parts: arrays.stack(parts), (X, Y, X)),
    "repeat": (arrays.repeat, (random(M, 1, N), 3)),
    "add_product": (arrays.add_product, (X, Y, X)),
    "length": (arrays.length, (X,)),
    "one_hot": (arrays.one_hot, (INDEX, N)),
    "log_softmax": (arrays.log_softmax, (80.0 * X,)),
    "pick": (arrays.pick, (X, INDEX)),
    "relu": (arrays.relu, (X,)),
    "relu_backward": (arrays.relu_backward, (Y, torch.relu(X))),
    "tanh": (arrays.tanh, (X,)),
    "tanh_backward": (arrays.tanh_backward, (Y, torch.tanh(X))),
}
IN_PLACE: dict[str, tuple[Callable[..., None], tuple[Any, ...]]] = {
    "add_product_": (arrays.add_product_, (X, Y, X, -0.3)),
    "lerp_": (arrays.lerp_, (X, Y, 0.2)),
    "put": (arrays.put, (X, Y)),
    "add_at": (arrays.add_at, (X, INDEX, random(M, B))),
}
OTHERS = {"library", "like", "as_tensor", "as_arrays", "computes_in_numpy"}


def in_numpy(arguments: tuple[Any, ...]) -> list[Any]:
    return [x.clone().numpy() if isinstance(x, Tensor) else x for x in arguments]


def test_every_operation_is_here() -> None:
    defined = {
        n
        for n, f in vars(arrays).items()
        if callable(f) and getattr(f, "__module__", "") == arrays.__name__ and n[0] != "_"
    }
    assert defined - {"Views"} == PURE.keys() | IN_PLACE.keys() | OTHERS


@pytest.mark.parametrize("name", PURE)
def test_an_operation_in_numpy_is_that_of_torch(name: str) -> None:
    function, arguments = PURE[name]
    found, expected = function(*in_numpy(arguments)), function(*arguments)
    assert isinstance(found, np.ndarray)
    assert torch.from_numpy(found).dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("name", IN_PLACE)
def test_an_operation_in_place_in_numpy_is_that_of_torch(name: str) -> None:
    function, (target, *rest) = IN_PLACE[name]
    found, expected = target.clone().numpy(), target.clone()
    function(found, *in_numpy(tuple(rest)))
    function(expected, *rest)
    assert not torch.equal(expected, target)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6)


def test_arrays_share_the_memory_of_tensors() -> None:
    tensor = torch.zeros(3)
    views = arrays.Views(tensor)
    (array,), (other,) = arrays.like(np.zeros(1), tensor), views.like(np.zeros(1))  # type: ignore[arg-type]
    array[0], other[1] = 1.0, 2.0
    arrays.as_tensor(array)[2] = 3.0
    assert tensor.tolist() == [1.0, 2.0, 3.0]
    assert arrays.like(tensor, tensor)[0] is tensor
    assert views.like(tensor)[0] is tensor


def test_a_class_that_inherits_does_not_compute_in_numpy_unless_it_says_so() -> None:
    class Ours:
        in_numpy = True

    class Theirs(Ours):
        pass

    class Both(Ours):
        @property
        def in_numpy(self) -> bool:  # type: ignore[override]
            return True

    assert [arrays.computes_in_numpy(part()) for part in (Ours, Theirs, Both, object)] == [True, False, True, False]
