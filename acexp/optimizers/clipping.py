"""Gradient clipping, separately for each member, on the flat gradient of an optimizer group."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from acexp.core.configs.optimizers import ClipConfig
from acexp.core.parameters import Segment
from acexp.core.registry import Registry


class Clip(Protocol):
    """The interface of gradient clipping, which clips each member's gradient separately."""

    def __call__(self, gradient: Tensor, segments: Sequence[Segment], norms: Tensor) -> tuple[Tensor, Tensor]:
        """Clip the gradient in place.

        Args:
            gradient: Gradient of one optimizer group, `[M, P]`.
            segments: Columns of its modules.
            norms: Norm of each module's part before clipping, `[M, len(segments)]`.

        Returns:
            The clipped gradient, and float32 `[M]`, 1 where clipping changed it, else 0.
        """


Builder = Callable[[Sequence[ClipConfig], torch.device], Clip]
CLIPS: Registry[Builder] = Registry("clip", ClipConfig)
"""Builders take one config per member. These differ at most in the bounds and in `none`, an infinite bound."""


def module_norms(gradient: Tensor, segments: Sequence[Segment]) -> Tensor:
    """Return the Euclidean norm of each module's part of a gradient: `[M, P]` -> `[M, len(segments)]`."""
    return torch.stack([torch.linalg.vector_norm(gradient[:, s.start : s.stop], dim=1) for s in segments], 1)


@CLIPS.register("none")
@CLIPS.register("norm")
class ClipNorm:
    """Scale the gradient down to clip.max_norm where it is longer, as torch's clip_grad_norm_ does.

    A member that is not clipped has an infinite bound, so that it can train in one population with members that are.
    """

    def __init__(self, configs: Sequence[ClipConfig], device: torch.device) -> None:
        bounds = [math.inf if config.name == "none" else config.max_norm for config in configs]
        self._max_norm = torch.tensor(bounds, device=device).unsqueeze(1)
        self._by_module = configs[0].scope == "module"

    def __call__(self, gradient: Tensor, segments: Sequence[Segment], norms: Tensor) -> tuple[Tensor, Tensor]:
        clipped_together = norms if self._by_module else torch.linalg.vector_norm(norms, dim=1, keepdim=True)
        scale = (self._max_norm / (clipped_together + 1e-6)).clamp(max=1.0)
        if self._by_module:
            for i, s in enumerate(segments):
                gradient[:, s.start : s.stop].mul_(scale[:, i : i + 1])
        else:
            gradient.mul_(scale)
        return gradient, (scale < 1.0).any(1).to(gradient.dtype)


@CLIPS.register("value")
class ClipValue:
    """Clamp every entry of the gradient to [-clip.max_value, clip.max_value]."""

    def __init__(self, configs: Sequence[ClipConfig], device: torch.device) -> None:
        self._max_value = torch.tensor([[config.max_value] for config in configs], device=device)

    def __call__(self, gradient: Tensor, segments: Sequence[Segment], norms: Tensor) -> tuple[Tensor, Tensor]:
        clipped = (gradient.abs() > self._max_value).any(1).to(gradient.dtype)
        return gradient.clamp_(-self._max_value, self._max_value), clipped
