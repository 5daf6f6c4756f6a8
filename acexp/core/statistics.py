"""Running mean and variance of each member, merged batch by batch (Chan, Golub and LeVeque, 1979)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from acexp.core.process_group import SINGLE_PROCESS, ProcessGroup


class RunningMoments(NamedTuple):
    """The mean and population variance of all samples so far.

    Shapes: `mean`, `variance` `[M, ...]`, `n_samples` `[M]`; all float64, so that a million samples lose nothing.
    """

    mean: Tensor
    variance: Tensor
    n_samples: Tensor


def initial_moments(n_members: int, shape: tuple[int, ...], device: torch.device | str = "cpu") -> RunningMoments:
    """Return mean 0, variance 1, and a count so small that the first batch outweighs them."""
    return RunningMoments(
        mean=torch.zeros(n_members, *shape, dtype=torch.float64, device=device),
        variance=torch.ones(n_members, *shape, dtype=torch.float64, device=device),
        n_samples=torch.full((n_members,), 1e-4, dtype=torch.float64, device=device),
    )


def merge(moments: RunningMoments, samples: Tensor, valid: Tensor) -> RunningMoments:
    """Return the moments updated with the valid samples of one batch.

    Args:
        moments: The moments so far, `[M, ...]`.
        samples: The batch, `[M, B, ...]`, any real dtype.
        valid: Which samples count, `[M, B]` bool; the moments of a member without a valid sample do not change.

    With batch mean b, batch variance w, counts n and k and d = b - mean:
    `mean' = mean + d k / (n + k)`, `variance' = (n variance + k w + d^2 n k / (n + k)) / (n + k)`.
    """
    tail = (1,) * (samples.dim() - 2)
    batch_count = valid.sum(1).to(torch.float64)
    n, k = moments.n_samples.view(-1, *tail), batch_count.view(-1, *tail)
    of_batch = _pixel_moments if samples.dtype == torch.uint8 else _exact_moments
    batch_mean, batch_variance = of_batch(samples, valid, k.clamp(min=1.0))

    total = n + k
    delta = batch_mean - moments.mean
    mean = moments.mean + delta * (k / total)
    variance = (n * moments.variance + k * batch_variance + delta.square() * (n * k / total)) / total
    return RunningMoments(mean, variance, moments.n_samples + batch_count)


def put(moments: RunningMoments, newer: RunningMoments) -> None:
    """Copy the newer moments into `moments` in place."""
    for target, source in zip(moments, newer, strict=True):
        target.copy_(source)


def _exact_moments(samples: Tensor, valid: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and population variance of the valid samples, `[M, ...]` each, float64."""
    samples = samples.to(torch.float64)
    weight = valid.to(torch.float64).view(*valid.shape, *(1,) * (samples.dim() - 2))
    mean = (samples * weight).sum(1) / count
    return mean, ((samples - mean.unsqueeze(1)).square() * weight).sum(1) / count


def _pixel_moments(samples: Tensor, valid: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and population variance of valid uint8 samples, several times as fast as _exact_moments.

    Sums of such small integers are exact in float32 up to 258 samples; beyond, their relative error is 1e-7.
    """
    pixels, weight = samples.flatten(2).to(torch.float32), valid.to(torch.float32).unsqueeze(1)
    shape = (len(samples), *samples.shape[2:])
    mean = torch.bmm(weight, pixels).to(torch.float64).view(shape) / count
    mean_square = torch.bmm(weight, pixels.square_()).to(torch.float64).view(shape) / count
    return mean, (mean_square - mean.square()).clamp_(min=0.0)


def mean_weights(valid: Tensor, process_group: ProcessGroup = SINGLE_PROCESS) -> Tensor:
    """Return weights with which a sum is the mean over a member's valid entries, or 0 if none is valid.

    `[M, B]` -> `[M, B]`. With several processes, the mean is over the entries of all of them.
    """
    return valid / process_group.sum(valid.sum(-1, keepdim=True)).clamp(min=1.0)


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
