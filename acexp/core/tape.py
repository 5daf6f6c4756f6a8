"""What was computed while acting and is needed again by the update."""

from __future__ import annotations

import torch
from torch import Tensor


class Tape:
    """What layers computed at each of the T steps of a rollout, during which parameters and statistics stand still.

    Only layers whose forward pass is dear write here: at the size of a small network, keeping costs more than computing
    again. The memory is reused by the next rollout.

    Attributes:
        step: which one is being written, from 0.
    """

    def __init__(self, n_steps: int) -> None:
        self.step = 0
        self._n_steps = n_steps
        self._kept: dict[str, Tensor] = {}

    def row(self, name: str, like: Tensor) -> Tensor:
        """Where the current step's `[B, ...]` is to be written; images `[B, C, H, W]` have their channels last."""
        if name not in self._kept:
            shape = (self._n_steps * len(like), *like.shape[1:])
            order = torch.channels_last if like.dim() == 4 else torch.contiguous_format
            self._kept[name] = torch.empty(shape, device=like.device, memory_format=order)
        return self._kept[name][self.step * len(like) : (self.step + 1) * len(like)]

    def kept(self, name: str) -> Tensor:
        """All steps, `[T * B, ...]`; raises KeyError if nothing was kept under this name."""
        return self._kept[name]
