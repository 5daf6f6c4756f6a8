"""Intermediate results of acting, stored because the update needs them again."""

from __future__ import annotations

import torch
from torch import Tensor


class Tape:
    """The outputs of layers at each of the T steps of a rollout, during which parameters and statistics do not change.

    Only layers with an expensive forward pass write to it: for small layers, storing the outputs costs more than
    computing them again. The memory is reused by the next rollout.

    Attributes:
        step: The step that is being written, from 0.
    """

    def __init__(self, n_steps: int) -> None:
        self.step = 0
        self._n_steps = n_steps
        self._stored: dict[str, Tensor] = {}

    def row(self, name: str, like: Tensor) -> Tensor:
        """Return the memory for the current step's `[B, ...]`; images `[B, C, H, W]` are channels-last in memory."""
        if name not in self._stored:
            shape = (self._n_steps * len(like), *like.shape[1:])
            order = torch.channels_last if like.dim() == 4 else torch.contiguous_format
            self._stored[name] = torch.empty(shape, device=like.device, memory_format=order)
        return self._stored[name][self.step * len(like) : (self.step + 1) * len(like)]

    def rows(self, name: str) -> Tensor:
        """Return the stored values of all steps, `[T * B, ...]`. Raises KeyError if there are none of this name."""
        return self._stored[name]
