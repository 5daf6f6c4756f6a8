"""Optimization algorithms on a whole population's parameters, `[M, P]`, with one learning rate per member.

torch.optim has one learning rate per tensor; a population needs one per row. The formulas are those of torch.optim
(tests compare them), applied to one tensor: a handful of calls per update for any network. Each algorithm reuses memory
for its intermediate results, because for large networks allocating it anew takes longer than the arithmetic.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from acexp.core.arrays import Array, add_product_, lerp_, library, like
from acexp.core.configs.optimizers import OptimizerConfig
from acexp.core.registry import Registry


class Algorithm(Protocol):
    """The interface of an optimization algorithm, which steps parameters in place.

    It is built as `Algorithm(parameters, config)`, with `parameters` `[M, P]`, which may be a view. Register a class of
    your own with `@ALGORITHMS.register("name")`.
    """

    def step(self, gradient: Tensor, learning_rate: Tensor) -> None:
        """Take one step with `gradient` `[M, P]` and `learning_rate` `[M, 1]`; neither is changed."""

    def state(self) -> dict[str, Tensor]:
        """Return the tensors that the next step depends on, `[M, ...]` each: not copies, so they can be restored."""


class Builder(Protocol):
    """The interface of a function or class that builds an Algorithm."""

    def __call__(self, parameters: Tensor, config: OptimizerConfig) -> Algorithm: ...


ALGORITHMS: Registry[Builder] = Registry("optimizer algorithm", OptimizerConfig, listed_as="optim.algorithm")


@ALGORITHMS.register("adam")
class Adam:
    """Adam (Kingma and Ba, 2015), as in torch.optim.Adam."""

    in_numpy = True

    def __init__(self, parameters: Tensor, config: OptimizerConfig) -> None:
        self._parameters = parameters
        self._beta1, self._beta2 = config.betas
        self._eps = config.eps
        self._mean = torch.zeros_like(parameters)
        self._square = torch.zeros_like(parameters)
        self._scratch = torch.empty_like(parameters)
        # All members have the same count; it is stored once per member so that members can be saved separately.
        self._steps = torch.zeros(len(parameters), dtype=torch.int64)

    def step(self, gradient: Array, learning_rate: Array) -> None:
        xp = library(gradient)
        mean, square, scratch, steps = like(gradient, self._mean, self._square, self._scratch, self._steps)
        steps += 1
        n = int(steps[0])
        lerp_(mean, gradient, 1.0 - self._beta1)
        square *= self._beta2
        add_product_(square, gradient, gradient, 1.0 - self._beta2)
        xp.sqrt(square, out=scratch)
        scratch /= (1.0 - self._beta2**n) ** 0.5
        scratch += self._eps
        direction = xp.divide(mean, scratch, out=scratch)
        (parameters,) = like(gradient, self._parameters)
        add_product_(parameters, direction, learning_rate, -1.0 / (1.0 - self._beta1**n))

    def state(self) -> dict[str, Tensor]:
        return {"mean": self._mean, "square": self._square, "steps": self._steps}


class _Momentum:
    """The last stage of rmsprop and sgd: an optional running sum of the updates."""

    def __init__(self, parameters: Tensor, momentum: float) -> None:
        self._parameters = parameters
        self._momentum = momentum
        self._buffer = torch.zeros_like(parameters) if momentum else None

    def apply(self, update: Array, learning_rate: Array) -> None:
        if self._buffer is not None:
            (buffer,) = like(update, self._buffer)
            buffer *= self._momentum
            buffer += update
            update = buffer
        (parameters,) = like(update, self._parameters)
        add_product_(parameters, update, learning_rate, -1.0)

    def state(self) -> dict[str, Tensor]:
        return {} if self._buffer is None else {"momentum": self._buffer}


@ALGORITHMS.register("rmsprop")
class RMSprop:
    """RMSprop as in torch.optim.RMSprop: the average of squares starts at 0, eps is added outside the root."""

    in_numpy = True

    def __init__(self, parameters: Tensor, config: OptimizerConfig) -> None:
        self._alpha, self._eps = config.alpha, config.eps
        self._square = torch.zeros_like(parameters)
        self._scratch = torch.empty_like(parameters)
        self._momentum = _Momentum(parameters, config.momentum)

    def step(self, gradient: Array, learning_rate: Array) -> None:
        xp = library(gradient)
        square, scratch = like(gradient, self._square, self._scratch)
        square *= self._alpha
        add_product_(square, gradient, gradient, 1.0 - self._alpha)
        xp.sqrt(square, out=scratch)
        scratch += self._eps
        self._momentum.apply(xp.divide(gradient, scratch, out=scratch), learning_rate)

    def state(self) -> dict[str, Tensor]:
        return {"square": self._square, **self._momentum.state()}


@ALGORITHMS.register("rmsprop_tf")
class RMSpropTF:
    """RMSprop as in TensorFlow 1, used by published A2C: the average of squares starts at 1, eps is under the root."""

    in_numpy = True

    def __init__(self, parameters: Tensor, config: OptimizerConfig) -> None:
        self._alpha, self._eps = config.alpha, config.eps
        self._square = torch.ones_like(parameters)
        self._scratch = torch.empty_like(parameters)
        self._momentum = _Momentum(parameters, config.momentum)

    def step(self, gradient: Array, learning_rate: Array) -> None:
        xp = library(gradient)
        square, scratch = like(gradient, self._square, self._scratch)
        square *= self._alpha
        add_product_(square, gradient, gradient, 1.0 - self._alpha)
        xp.add(square, self._eps, out=scratch)
        xp.sqrt(scratch, out=scratch)
        self._momentum.apply(xp.divide(gradient, scratch, out=scratch), learning_rate)

    def state(self) -> dict[str, Tensor]:
        return {"square": self._square, **self._momentum.state()}


@ALGORITHMS.register("sgd")
class SGD:
    """Gradient descent with optional momentum, as in torch.optim.SGD."""

    in_numpy = True

    def __init__(self, parameters: Tensor, config: OptimizerConfig) -> None:
        self._momentum = _Momentum(parameters, config.momentum)

    def step(self, gradient: Array, learning_rate: Array) -> None:
        self._momentum.apply(gradient, learning_rate)

    def state(self) -> dict[str, Tensor]:
        return self._momentum.state()
