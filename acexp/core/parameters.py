"""All parameters of a population in one tensor, `[M, P]`, with one row per member.

Every parameter is a view of it, `[M, *shape]`. The columns are ordered by module, `actor | trunk | critic`, so that
each set of modules that an optimizer may own is one slice: clipping and stepping take a few calls on one tensor,
whatever the network looks like.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from acexp.core.arrays import Array, Views

MODULES = ("actor", "trunk", "critic")

Initializer = Callable[[Tensor, torch.Generator], None]
"""A function that fills one member's parameter in place."""


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """The description of a parameter to create.

    Attributes:
        name: Name within its module.
        shape: Shape for one member.
        initialize: Function that fills it.
        read_as: Shape in which its layer reads it, if that is not `shape`.
    """

    name: str
    shape: tuple[int, ...]
    initialize: Initializer
    read_as: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """The columns `[start, stop)` that hold a module's parameters."""

    module: str
    start: int
    stop: int


class Parameters:
    """The parameters of M members, allocated and initialized.

    Args:
        specs: The parameters of each module that the architecture has; the keys are among MODULES.
        generators: One per member; a member draws the same numbers whatever the population's size.
        device: Device of the parameters; initialization happens on the CPU.
    """

    def __init__(
        self,
        specs: Mapping[str, Sequence[ParameterSpec]],
        generators: Sequence[torch.Generator],
        device: torch.device | str = "cpu",
    ) -> None:
        unknown = set(specs) - set(MODULES)
        if unknown:
            raise ValueError(f"modules are {MODULES}, not {sorted(unknown)}")
        self.specs = {module: tuple(specs[module]) for module in MODULES if specs.get(module)}
        size = sum(math.prod(spec.shape) for module in self.specs.values() for spec in module)
        host = torch.zeros(len(generators), size)
        for row, generator in zip(host, generators, strict=True):
            for _, spec, start, stop in self._layout():
                spec.initialize(row[start:stop].view(spec.shape), generator)
        self.flat = host.to(device)

        self.segments: tuple[Segment, ...] = ()
        tensors: dict[str, list[Tensor]] = {module: [] for module in MODULES}
        for module, spec, start, stop in self._layout():
            view = self.flat[:, start:stop].view(len(generators), *(spec.read_as or spec.shape))
            tensors[module].append(view)
            if self.segments and self.segments[-1].module == module:
                start = self.segments[-1].start
                self.segments = self.segments[:-1]
            self.segments += (Segment(module, start, stop),)
        self._views = {module: Views(*each) for module, each in tensors.items()}

    def _layout(self) -> list[tuple[str, ParameterSpec, int, int]]:
        layout, offset = [], 0
        for module, specs in self.specs.items():
            for spec in specs:
                size = math.prod(spec.shape)
                layout.append((module, spec, offset, offset + size))
                offset += size
        return layout

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that the architecture has, in the order of their columns."""
        return tuple(self.specs)

    @property
    def n_members(self) -> int:
        return len(self.flat)

    def of(self, module: str, like: Array) -> Iterator[Array]:
        """Iterate over a module's parameters as its layers read them, `[M, *read_as]`, in the library of `like`."""
        return iter(self._views[module].like(like))

    def named(self) -> dict[str, Tensor]:
        """Return every parameter `[M, *shape]` by its full name, such as `actor.log_std`; all are views of `flat`."""
        return {
            f"{module}.{spec.name}": self.flat[:, start:stop].view(self.n_members, *spec.shape)
            for module, spec, start, stop in self._layout()
        }

    def size(self, module: str) -> int:
        """Return the number of parameters that one member has in a module."""
        return sum(segment.stop - segment.start for segment in self.segments if segment.module == module)

    def columns(self, modules: Sequence[str]) -> tuple[Tensor, tuple[Segment, ...]]:
        """Return the slice `[M, P']` of some neighbouring modules, a view of `flat`, and their segments within it.

        Raises ValueError if the modules are not neighbours.
        """
        chosen = [segment for segment in self.segments if segment.module in modules]
        if not chosen or any(a.stop != b.start for a, b in pairwise(chosen)):
            raise ValueError(f"{tuple(modules)} are not neighbours in {self.modules}")
        start = chosen[0].start
        shifted = tuple(Segment(segment.module, segment.start - start, segment.stop - start) for segment in chosen)
        return self.flat[:, start : chosen[-1].stop], shifted
