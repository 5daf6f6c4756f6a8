"""Schedules by which a learning rate or a coefficient of a loss changes over a run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from acexp.core.errors import UserError, require

if TYPE_CHECKING:  # config classes have schedules, and do not import torch
    from torch import Tensor

ANNEALINGS = ("none", "linear", "cosine")
"""The schedules: `none` keeps the initial value; `linear` decreases it steadily over the run's budget to its final
share, and `cosine` along half a wave, slowly at both ends."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule of a value: one of ANNEALINGS, and the share of the initial value that is left at the end."""

    kind: str = "none"
    final_share: float = 0.0

    def __str__(self) -> str:
        if self.kind == "none":
            return "constant"
        return f"{self.kind} to {f'{self.final_share:.3g} of its first value' if self.final_share else '0'}"

    def __call__(self, first: Tensor, progress: float | Tensor) -> Tensor:
        """Return the value at a progress from 0 (nothing done) to 1 (budget spent), given the initial value."""
        return first if self.kind == "none" else first * self.share(progress)

    def share(self, progress: float | Tensor) -> float | Tensor:
        """Return the share of the initial value that is left at a progress."""
        if self.kind == "none":
            return 1.0
        if self.kind == "linear":
            left: float | Tensor = 1.0 - progress
        elif isinstance(progress, float | int):
            left = 0.5 + 0.5 * math.cos(math.pi * progress)
        else:
            left = 0.5 + 0.5 * (math.pi * progress).cos()
        return self.final_share + (1.0 - self.final_share) * left


def require_schedule(kind: str, final_share: float, prefix: str = "") -> None:
    """Raise UserError unless these are the settings `anneal` and `final_share`, after `prefix`, of a schedule."""
    if kind not in ANNEALINGS:
        raise UserError(
            f"There is no annealing called {kind!r}.", key=f"{prefix}anneal", value=kind, choices=ANNEALINGS
        )
    require(
        0.0 <= final_share <= 1.0,
        "The share of a value that is left at the end of a run lies in [0, 1].",
        f"{prefix}final_share",
        final_share,
    )
