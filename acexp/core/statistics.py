"""Running mean and variance of each member, merged batch by batch (Chan, Golub and LeVeque, 1979)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from acexp.core import arrays
from acexp.core.arrays import Array, as_float64, at_least, like
from acexp.core.process_group import SINGLE_PROCESS, ProcessGroup


class RunningMoments(NamedTuple):
    """The mean and population variance of all samples so far.

    Shapes: `mean`, `variance` `[M, ...]`, `n_samples` `[M]`; all float64, so that a million samples lose nothing.
    """

    mean: Array
    variance: Array
    n_samples: Array


def initial_moments(n_members: int, shape: tuple[int, ...], device: torch.device | str = "cpu") -> RunningMoments:
    """Return mean 0, variance 1, and a count so small that the first batch outweighs them."""
    return RunningMoments(
        mean=torch.zeros(n_members, *shape, dtype=torch.float64, device=device),
        variance=torch.ones(n_members, *shape, dtype=torch.float64, device=device),
        n_samples=torch.full((n_members,), 1e-4, dtype=torch.float64, device=device),
    )


def merge(moments: RunningMoments, samples: Array, valid: Array) -> RunningMoments:
    """Return the moments updated with the valid samples of one batch.

    Args:
        moments: The moments so far, `[M, ...]`, always tensors.
        samples: The batch, `[M, B, ...]`, any real dtype.
        valid: Which samples count, `[M, B]` bool; the moments of a member without a valid sample do not change.

    With batch mean b, batch variance w, counts n and k and d = b - mean:
    `mean' = mean + d k / (n + k)`, `variance' = (n variance + k w + d^2 n k / (n + k)) / (n + k)`.
    """
    old_mean, old_variance, n_samples = like(samples, *moments)
    tail = (1,) * (samples.ndim - 2)
    batch_count = as_float64(valid.sum(1))
    n, k = n_samples.reshape(-1, *tail), batch_count.reshape(-1, *tail)
    of_batch = _pixel_moments if samples.dtype == torch.uint8 else _exact_moments
    batch_mean, batch_variance = of_batch(samples, valid, at_least(k, 1.0))

    total = n + k
    delta = batch_mean - old_mean
    mean = old_mean + delta * (k / total)
    variance = (n * old_variance + k * batch_variance + delta * delta * (n * k / total)) / total
    return RunningMoments(mean, variance, n_samples + batch_count)


def put(moments: RunningMoments, newer: RunningMoments) -> None:
    """Copy the newer moments into `moments` in place."""
    for target, source in zip(like(newer.mean, *moments), newer, strict=True):
        arrays.put(target, source)


def _exact_moments(samples: Array, valid: Array, count: Array) -> tuple[Array, Array]:
    """Return mean and population variance of the valid samples, `[M, ...]` each, float64."""
    samples = as_float64(samples)
    weight = as_float64(valid).reshape(*valid.shape, *(1,) * (samples.ndim - 2))
    mean = (samples * weight).sum(1) / count
    deviation = samples - mean[:, None]
    return mean, (deviation * deviation * weight).sum(1) / count


def _pixel_moments(samples: Tensor, valid: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and population variance of valid uint8 samples, several times as fast as _exact_moments.

    Sums of such small integers are exact in float32 up to 258 samples; beyond, their relative error is 1e-7.
    """
    pixels, weight = samples.flatten(2).to(torch.float32), valid.to(torch.float32).unsqueeze(1)
    shape = (len(samples), *samples.shape[2:])
    mean = torch.bmm(weight, pixels).to(torch.float64).view(shape) / count
    mean_square = torch.bmm(weight, pixels.square_()).to(torch.float64).view(shape) / count
    return mean, (mean_square - mean.square()).clamp_(min=0.0)


def mean_weights(valid: Array, process_group: ProcessGroup = SINGLE_PROCESS) -> Array:
    """Return weights with which a sum is the mean over a member's valid entries, or 0 if none is valid.

    `[M, B]` -> `[M, B]`. With several processes, the mean is over the entries of all of them.
    """
    return valid / at_least(process_group.sum(valid.sum(-1)[..., None]), 1.0)


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Return the mean over each member's valid entries, 0 if none is valid: `[..., B]`, `[..., B]` -> `[...]`.

    `valid` has the dtype of `values`, holding ones and zeros.
    """
    return (values * valid).sum(-1) / valid.sum(-1).clamp(min=1.0)


def explained_variance(values: Tensor, returns: Tensor, valid: Tensor) -> Tensor:
    """Return `1 - Var(returns - values) / Var(returns)` of each member: `[..., M, B]` x 3 -> `[..., M]`.

    1 is a perfect critic, 0 one that predicts the mean, below 0 worse than that. NaN where the returns do not vary.
    """
    residual = returns - values
    residual_variance = masked_mean((residual - masked_mean(residual, valid).unsqueeze(-1)).square(), valid)
    variance = masked_mean((returns - masked_mean(returns, valid).unsqueeze(-1)).square(), valid)
    return torch.where(variance > 0, 1.0 - residual_variance / variance, torch.nan)
