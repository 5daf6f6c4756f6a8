"""Optimizer layouts: one optimizer for all parameters, or one for the actor and one for the critic."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from acexp.core.annealing import Schedule
from acexp.core.arrays import Array, computes_in_numpy
from acexp.core.configs.optimizers import DualConfig, LayoutConfig, OptimizerConfig, SingleConfig
from acexp.core.errors import UserError
from acexp.core.parameters import Parameters
from acexp.core.registry import Registry
from acexp.optimizers.algorithms import ALGORITHMS, Algorithm


class OptimizerGroup:
    """One optimizer, the neighbouring modules that it steps, and the loss whose gradient it follows.

    Attributes:
        loss: `joint` (actor + value_coef * critic), `actor` or `critic`; also the group's name in the log.
        modules: The modules that it steps, in column order.
        segments: The modules' columns in its gradient `[M, P']`.
    """

    def __init__(
        self,
        loss: str,
        modules: Sequence[str],
        parameters: Parameters,
        configs: Sequence[OptimizerConfig],
    ) -> None:
        self.loss = loss
        self.modules = tuple(module for module in parameters.modules if module in modules)
        columns, self.segments = parameters.columns(self.modules)
        self._base_rate = torch.tensor([[config.learning_rate] for config in configs], device=columns.device)
        self.schedule = Schedule(configs[0].anneal, configs[0].final_share)
        self._algorithm: Algorithm = ALGORITHMS[configs[0].algorithm].build(columns, configs[0])

    def learning_rate(self, progress: float) -> Tensor:
        """Return the learning rates `[M, 1]` at a progress from 0 (nothing done) to 1 (budget spent)."""
        return self.schedule(self._base_rate, progress)

    @property
    def in_numpy(self) -> bool:
        """Whether the algorithm can step with NumPy arrays as well."""
        return computes_in_numpy(self._algorithm)

    def step(self, gradient: Array, learning_rate: Array) -> None:
        """Step the parameters in place with `gradient` `[M, P']` and `learning_rate` `[M, 1]`."""
        self._algorithm.step(gradient, learning_rate)

    def state(self) -> dict[str, Tensor]:
        """Return the tensors that the next step depends on, `[M, ...]` each: not copies."""
        return self._algorithm.state()


Builder = Callable[[Sequence[LayoutConfig], Parameters], tuple[OptimizerGroup, ...]]
OPTIMIZERS: Registry[Builder] = Registry("optim", LayoutConfig)
"""Builders take one config per member. These differ at most in their learning rates."""


@OPTIMIZERS.register("single", SingleConfig)
def single(configs: Sequence[LayoutConfig], parameters: Parameters) -> tuple[OptimizerGroup, ...]:
    """Step all parameters with one optimizer that follows actor + value_coef * critic."""
    return (OptimizerGroup("joint", parameters.modules, parameters, configs),)


@OPTIMIZERS.register("dual", DualConfig)
def dual(configs: Sequence[LayoutConfig], parameters: Parameters) -> tuple[OptimizerGroup, ...]:
    """Step actor and critic with one optimizer each, on their own losses; optim.trunk assigns a shared trunk."""
    duals = [config for config in configs if isinstance(config, DualConfig)]
    assert len(duals) == len(configs)
    for side in ("actor", "critic"):
        if side not in parameters.modules and duals[0].trunk != "both":
            raise UserError(
                f"The network has no {side} of its own for optim=dual to step.",
                key="optim.trunk",
                value=duals[0].trunk,
                remedy=f"name the {side}'s layers self.{side}, or use optim=single",
            )
    actor_modules = ("actor", "trunk") if duals[0].trunk in ("both", "actor") else ("actor",)
    critic_modules = ("trunk", "critic") if duals[0].trunk in ("both", "critic") else ("critic",)
    return (
        OptimizerGroup("actor", actor_modules, parameters, [config.actor for config in duals]),
        OptimizerGroup("critic", critic_modules, parameters, [config.critic for config in duals]),
    )
