"""Optimization algorithms on a whole population's parameters, `[M, P]`, with one learning rate per member.

torch.optim has one learning rate per tensor; a population needs one per row. The formulas are those of torch.optim
(tests compare them), applied to one tensor: a handful of calls per update for any network. Each algorithm reuses memory
for its intermediate results, because for large networks allocating it anew takes longer than the arithmetic.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

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

    def __init__(self, parameters: Tensor, config: OptimizerConfig) -> None:
        self._parameters = parameters
        self._beta1, self._beta2 = config.betas
        self._eps = config.eps
        self._mean = torch.zeros_like(parameters)
        self._square = torch.zeros_like(parameters)
        self._scratch = torch.empty_like(parameters)
        # All members have the same count; it is stored once per member so that members can be saved separately.
        self._steps = torch.zeros(len(parameters), dtype=torch.int64)

    def step(self, gradient: Tensor, learning_rate: Tensor) -> None:
        self._steps += 1
        n = int(self._steps[0])
        self._mean.lerp_(gradient, 1.0 - self._beta1)
        self._square.mul_(self._beta2).addcmul_(gradient, gradient, value=1.0 - self._beta2)
        denominator = torch.sqrt(self._square, out=self._scratch).div_((1.0 - self._beta2**n) ** 0.5).add_(self._eps)
        direction = torch.div(self._mean, denominator, out=self._scratch)
        self._parameters.addcmul_(direction, learning_rate, value=-1.0 / (1.0 - self._beta1**n))

    def state(self) -> dict[str, Tensor]:
        return {"mean": self._mean, "square": self._square, "steps": self._steps}


class _Momentum:
    """The last stage of rmsprop and sgd: an optional running sum of the updates."""

    def __init__(self, parameters: Tensor, momentum: float) -> None:
        self._parameters = parameters
        self._momentum = momentum
        self._buffer = torch.zeros_like(parameters) if momentum else None

    def apply(self, update: Tensor, learning_rate: Tensor) -> None:
        if self._buffer is not None:
            update = self._buffer.mul_(self._momentum).add_(update)
        self._parameters.addcmul_(update, learning_rate, value=-1.0)

    def state(self) -> dict[str, Tensor]:
        return {} if self._buffer is None else {"momentum": self._buffer}


@ALGORITHMS.register("rmsprop")
class RMSprop:
    """RMSprop as in torch.optim.RMSprop: the average of squares starts at 0, eps is added outside the root."""

    def __init__(self, parameters: Tensor, config: OptimizerConfig) -> None:
        self._alpha, self._eps = config.alpha, config.eps
        self._square = torch.zeros_like(parameters)
        self._scratch = torch.empty_like(parameters)
        self._momentum = _Momentum(parameters, config.momentum)

    def step(self, gradient: Tensor, learning_rate: Tensor) -> None:
        self._square.mul_(self._alpha).addcmul_(gradient, gradient, value=1.0 - self._alpha)
        denominator = torch.sqrt(self._square, out=self._scratch).add_(self._eps)
        self._momentum.apply(torch.div(gradient, denominator, out=self._scratch), learning_rate)

    def state(self) -> dict[str, Tensor]:
        return {"square": self._square, **self._momentum.state()}


@ALGORITHMS.register("rmsprop_tf")
class RMSpropTF:
    """RMSprop as in TensorFlow 1, used by published A2C: the average of squares starts at 1, eps is under the root."""

    def __init__(self, parameters: Tensor, config: OptimizerConfig) -> None:
        self._alpha, self._eps = config.alpha, config.eps
        self._square = torch.ones_like(parameters)
        self._scratch = torch.empty_like(parameters)
        self._momentum = _Momentum(parameters, config.momentum)

    def step(self, gradient: Tensor, learning_rate: Tensor) -> None:
        self._square.mul_(self._alpha).addcmul_(gradient, gradient, value=1.0 - self._alpha)
        factor = torch.add(self._square, self._eps, out=self._scratch).rsqrt_()
        self._momentum.apply(torch.mul(gradient, factor, out=self._scratch), learning_rate)

    def state(self) -> dict[str, Tensor]:
        return {"square": self._square, **self._momentum.state()}


@ALGORITHMS.register("sgd")
class SGD:
    """Gradient descent with optional momentum, as in torch.optim.SGD."""

    def __init__(self, parameters: Tensor, config: OptimizerConfig) -> None:
        self._momentum = _Momentum(parameters, config.momentum)

    def step(self, gradient: Tensor, learning_rate: Tensor) -> None:
        self._momentum.apply(gradient, learning_rate)

    def state(self) -> dict[str, Tensor]:
        return self._momentum.state()
