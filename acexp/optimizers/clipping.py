"""Gradient clipping, separately for each member, on the flat gradient of an optimizer group."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from acexp.core.arrays import Array, as_float32, at_most, length, library, like
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


def module_norms(gradient: Array, segments: Sequence[Segment]) -> Array:
    """Return the Euclidean norm of each module's part of a gradient: `[M, P]` -> `[M, len(segments)]`."""
    parts = [length(gradient[:, s.start : s.stop])[:, None] for s in segments]
    norms: Array = library(gradient).concatenate(parts, 1)
    return norms


@CLIPS.register("none")
@CLIPS.register("norm")
class ClipNorm:
    """Scale the gradient down to clip.max_norm where it is longer, as torch's clip_grad_norm_ does.

    A member that is not clipped has an infinite bound, so that it can train in one population with members that are.
    """

    in_numpy = True

    def __init__(self, configs: Sequence[ClipConfig], device: torch.device) -> None:
        bounds = [math.inf if config.name == "none" else config.max_norm for config in configs]
        self._max_norm = torch.tensor(bounds, device=device).unsqueeze(1)
        self._by_module = configs[0].scope == "module"

    def __call__(self, gradient: Array, segments: Sequence[Segment], norms: Array) -> tuple[Array, Array]:
        (max_norm,) = like(gradient, self._max_norm)
        clipped_together = norms if self._by_module else length(norms)[:, None]
        scale = at_most(max_norm / (clipped_together + 1e-6), 1.0)
        if self._by_module:
            for i, s in enumerate(segments):
                gradient[:, s.start : s.stop] *= scale[:, i : i + 1]
        else:
            gradient *= scale
        return gradient, as_float32((scale < 1.0).any(1))


@CLIPS.register("value")
class ClipValue:
    """Clamp every entry of the gradient to [-clip.max_value, clip.max_value]."""

    in_numpy = True

    def __init__(self, configs: Sequence[ClipConfig], device: torch.device) -> None:
        self._max_value = torch.tensor([[config.max_value] for config in configs], device=device)

    def __call__(self, gradient: Array, segments: Sequence[Segment], norms: Array) -> tuple[Array, Array]:
        (max_value,) = like(gradient, self._max_value)
        clipped = as_float32((abs(gradient) > max_value).any(1))
        library(gradient).clip(gradient, -max_value, max_value, out=gradient)
        return gradient, clipped
