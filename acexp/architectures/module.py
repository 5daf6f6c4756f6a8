"""The architecture made of a user's plain `nn.Module`: M copies, run together by `torch.func.vmap`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from acexp.architectures.base import ARCHITECTURES, Architecture, Backward, Interface
from acexp.architectures.layers import columns, constant
from acexp.core.configs.architectures import ArchitectureConfig
from acexp.core.errors import UserError
from acexp.core.observations import Inputs
from acexp.core.parameters import MODULES, Parameters, ParameterSpec
from acexp.core.tape import Tape

N = TypeVar("N", bound=type[nn.Module])


def register_module(name: str, config: type[ArchitectureConfig] = ArchitectureConfig) -> Callable[[N], N]:
    """Return a decorator that registers a plain module as an architecture, chosen by `arch.name=NAME`.

    The class is built as `Module(interface, config)`. Its `forward` takes the inputs of one member, float32
    `[B, *shape]` for each of `interface.input_shapes`, and returns the policy parameters `[B, interface.n_parameters]`
    and the values `[B]`. Parameters of its attributes `actor` and `critic` belong to these modules, all others to the
    trunk. The module handles one member only, and must not keep state between calls.
    """

    def decorate(module: N) -> N:
        def build(
            config: ArchitectureConfig,
            interface: Interface,
            generators: Sequence[torch.Generator],
            device: torch.device,
        ) -> Architecture:
            return ModuleArchitecture(module, config, interface, generators, device)

        build.__doc__, build.__module__, build.__qualname__ = module.__doc__, module.__module__, module.__qualname__
        ARCHITECTURES.register(name, config)(build)
        return module

    return decorate


class ModuleArchitecture:
    """M instances of a user's module, with their parameters stacked.

    Raises UserError for a module that cannot be stacked, or whose outputs do not have the shapes of the interface.
    """

    def __init__(
        self,
        module: Callable[[Interface, Any], nn.Module],
        config: ArchitectureConfig,
        interface: Interface,
        generators: Sequence[torch.Generator],
        device: torch.device,
    ) -> None:
        instances = [_instance(module, config, interface, generator) for generator in generators]
        self._template = instances[0].to(device)
        if next(self._template.buffers(), None) is not None:
            raise UserError(
                f"The architecture {config.name!r} has buffers (as batch normalization does), which cannot be stacked.",
                key="arch.name",
                value=config.name,
                remedy="use layers without running state, for instance LayerNorm",
            )
        located = {name: _locate(name) for name, _ in self._template.named_parameters()}
        specs: dict[str, list[ParameterSpec]] = {}
        for name, parameter in self._template.named_parameters():
            owner, short = located[name]
            specs.setdefault(owner, []).append(ParameterSpec(short, tuple(parameter.shape), constant(0.0)))
        self.parameters = Parameters(specs, generators, device)

        stacked = self.parameters.named()
        self._weights = {name: stacked[".".join(location)] for name, location in located.items()}
        self._owners = {name: owner for name, (owner, _) in located.items()}
        with torch.no_grad():
            for name, tensor in self._weights.items():
                tensor.copy_(torch.stack([instance.get_parameter(name) for instance in instances]))
        self._forward = vmap(self._one_member, in_dims=(0, *(0 for _ in interface.input_shapes)))
        self._check(config, interface, device)

    def _one_member(self, weights: dict[str, Tensor], *inputs: Tensor) -> tuple[Tensor, Tensor]:
        result: tuple[Tensor, Tensor] = functional_call(self._template, weights, inputs)
        return result

    def _check(self, config: ArchitectureConfig, interface: Interface, device: torch.device) -> None:
        expected = ((2, interface.n_parameters), (2,))
        inputs = [torch.zeros(self.parameters.n_members, 2, *shape, device=device) for shape in interface.input_shapes]
        requirement = f"forward must return policy parameters [B, {interface.n_parameters}] and values [B]"
        try:
            policy, value = self._forward(self._weights, *inputs)
        except (RuntimeError, TypeError, ValueError) as error:
            raise UserError(
                f"The architecture {config.name!r} cannot be run on inputs of shapes {interface.input_shapes}: {error}",
                key="arch.name",
                value=config.name,
                remedy=requirement,
            ) from error
        returned = tuple(policy.shape[1:]), tuple(value.shape[1:])
        if returned != expected:
            raise UserError(
                f"The architecture {config.name!r} gives shapes {returned} where {expected} are needed (B = 2).",
                key="arch.name",
                value=config.name,
                remedy=requirement,
            )

    def policy(self, inputs: Inputs, tape: Tape | None = None) -> Tensor:
        if torch.compiler.is_exporting() and self.parameters.n_members == 1:
            # An export under vmap would fix the batch size; one member needs no vmap.
            outputs = self._one_member({name: w[0] for name, w in self._weights.items()}, *(x[0] for x in inputs))
            return outputs[0].unsqueeze(0)
        policy: Tensor = self._forward(self._weights, *inputs)[0]
        return policy

    def value(self, inputs: Inputs) -> Tensor:
        value: Tensor = self._forward(self._weights, *inputs)[1]
        return value

    def evaluate(self, inputs: Inputs, tape: Tape | None = None) -> tuple[Tensor, Tensor, Backward]:
        with torch.inference_mode(False), torch.enable_grad():
            leaves = {name: tensor.detach().requires_grad_() for name, tensor in self._weights.items()}
            outputs = self._forward(leaves, *(x.clone() for x in inputs))

        def backward(policy: Tensor | None, values: Tensor | None, modules: Collection[str]) -> Tensor:
            names = [name for module in MODULES if module in modules for name in self._names_in(module)]
            with torch.inference_mode(False):
                pairs = [(out, g.clone()) for out, g in zip(outputs, (policy, values), strict=True) if g is not None]
                gradients = torch.autograd.grad(
                    [output for output, _ in pairs],
                    [leaves[name] for name in names],
                    [gradient for _, gradient in pairs],
                    retain_graph=True,
                    materialize_grads=True,
                )
            return columns(list(gradients))

        return outputs[0].detach(), outputs[1].detach(), backward

    def _names_in(self, module: str) -> list[str]:
        return [name for name, owner in self._owners.items() if owner == module]

    def describe(self) -> list[tuple[str, str]]:
        leaves = [(name, child) for name, child in self._template.named_modules() if not list(child.children())]
        return [(name or type(self._template).__name__, str(child)) for name, child in leaves]


def _instance(
    module: Callable[[Interface, Any], nn.Module],
    config: ArchitectureConfig,
    interface: Interface,
    generator: torch.Generator,
) -> nn.Module:
    """Build one member's module. It draws from torch's global generator, whose state is restored afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator.initial_seed())
        return module(interface, config)


def _locate(name: str) -> tuple[str, str]:
    """Return the module that a parameter belongs to, and its name within that module."""
    first, _, rest = name.partition(".")
    return (first, rest) if first in ("actor", "critic", "trunk") and rest else ("trunk", name)
