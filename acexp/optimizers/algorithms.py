"""Optimization algorithms on a whole population's parameters, `[M, P]`, with one learning rate per member.

torch.optim knows one learning rate per tensor, a population needs one per row. These are the same formulas as
torch.optim's (tests compare them), written on one tensor: a handful of calls per update for any network. Each keeps
memory for what it computes on the way, as large networks lose more by asking for it anew than by the arithmetic.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from acexp.core.registry import Registry
from acexp.optimizers.base import OptimizerConfig


class Algorithm(Protocol):
    """Steps parameters in place.

    Built as `Algorithm(parameters, config)`, with `parameters` `[M, P]`, which may be a view. A class of your own is
    registered with `@ALGORITHMS.register("name")`.
    """

    def step(self, gradient: Tensor, learning_rate: Tensor) -> None:
        """One step: `gradient` `[M, P]`, `learning_rate` `[M, 1]`; neither is changed."""

    def state(self) -> dict[str, Tensor]:
        """What the next step depends on, `[M, ...]` each: the tensors themselves, so that they can be put back."""


class Builder(Protocol):
    """Makes an Algorithm."""

    def __call__(self, parameters: Tensor, config: OptimizerConfig) -> Algorithm: ...


ALGORITHMS: Registry[Builder] = Registry("optimizer algorithm", OptimizerConfig)


@ALGORITHMS.register("adam")
class Adam:
    """Adam (Kingma and Ba, 2015), as torch.optim.Adam."""

    def __init__(self, parameters: Tensor, config: OptimizerConfig) -> None:
        self._parameters = parameters
        self._beta1, self._beta2 = config.betas
        self._eps = config.eps
        self._mean = torch.zeros_like(parameters)
        self._square = torch.zeros_like(parameters)
        self._scratch = torch.empty_like(parameters)
        # One count for all, kept once for each, so that members can be taken apart.
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
    """RMSprop as torch.optim.RMSprop: the square average starts at 0, eps outside the root."""

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
    """RMSprop as TensorFlow 1 had it: the square average starts at 1, eps under the root. Published A2C used it."""

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
    """Gradient descent, with momentum if asked for, as torch.optim.SGD."""

    def __init__(self, parameters: Tensor, config: OptimizerConfig) -> None:
        self._momentum = _Momentum(parameters, config.momentum)

    def step(self, gradient: Tensor, learning_rate: Tensor) -> None:
        self._momentum.apply(gradient, learning_rate)

    def state(self) -> dict[str, Tensor]:
        return self._momentum.state()
