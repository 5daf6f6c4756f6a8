"""Hyperparameters of a population: one value per member, under the names that the config class gives them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from acexp.core.settings import names_with


class Hyperparameters:
    """The settings in which the members of a population may differ, float32 `[M]` each, read as attributes.

    A setting that its config class declares with `setting(..., per_member=True)` is an attribute here under the same
    name, for example `hyperparameters.gamma`.
    """

    __slots__ = ("_values",)

    def __init__(self, **values: Tensor) -> None:
        self._values = values

    @classmethod
    def of(cls, configs: Sequence[object], device: torch.device) -> Hyperparameters:
        """Stack the per-member settings of M configs of one class."""
        names = names_with(type(configs[0]), "per_member")
        rows = {name: [getattr(config, name) for config in configs] for name in names}
        return cls(**{name: torch.tensor(row, dtype=torch.float32, device=device) for name, row in rows.items()})

    def __getattr__(self, name: str) -> Tensor:
        if name == "_values" or name not in self._values:
            raise AttributeError(f"there is no per-member setting {name!r}")
        return self._values[name]

    def replace(self, **values: Tensor) -> Hyperparameters:
        """Return a copy with other values for some of the settings."""
        return Hyperparameters(**{**self._values, **values})
