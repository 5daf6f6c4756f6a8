"""Schedules by which a learning rate or a loss coefficient changes over a run."""

from __future__ import annotations

from torch import Tensor

from acexp.core.errors import UserError

ANNEALINGS = ("none", "linear")
"""The schedules: `none` keeps the initial value, `linear` decreases it to zero over the run's budget."""


def require_annealing(name: str, key: str) -> None:
    """Raise UserError unless `name` is one of ANNEALINGS; `key` is the config key at fault."""
    if name not in ANNEALINGS:
        raise UserError(f"There is no annealing called {name!r}.", key=key, value=name, choices=ANNEALINGS)


def annealed(first: Tensor, name: str, progress: float | Tensor) -> Tensor:
    """Return the annealed value of `first` at a progress from 0 (nothing done) to 1 (budget spent)."""
    return first * (1.0 - progress) if name == "linear" else first
