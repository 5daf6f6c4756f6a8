"""Running mean and variance of each member, merged batch by batch (Chan, Golub and LeVeque, 1979)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from acexp.core.process_group import SINGLE_PROCESS, ProcessGroup


class RunningMoments(NamedTuple):
    """Mean and population variance of everything seen so far.

    Shapes: `mean`, `variance` `[M, ...]`, `n_samples` `[M]`; all float64, so that a million samples lose nothing.
    """

    mean: Tensor
    variance: Tensor
    n_samples: Tensor


def initial_moments(n_members: int, shape: tuple[int, ...], device: torch.device | str = "cpu") -> RunningMoments:
    """Mean 0, variance 1, and a count so small that the first batch decides."""
    return RunningMoments(
        mean=torch.zeros(n_members, *shape, dtype=torch.float64, device=device),
        variance=torch.ones(n_members, *shape, dtype=torch.float64, device=device),
        n_samples=torch.full((n_members,), 1e-4, dtype=torch.float64, device=device),
    )


def merge(moments: RunningMoments, samples: Tensor, valid: Tensor) -> RunningMoments:
    """Take the valid samples of one batch into account.

    Args:
        moments: what is known, `[M, ...]`.
        samples: `[M, B, ...]`, any real dtype.
        valid: `[M, B]`, bool; a member without a valid sample keeps its moments.

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
    """Bring moments up to date in place."""
    for mine, theirs in zip(moments, newer, strict=True):
        mine.copy_(theirs)


def _exact_moments(samples: Tensor, valid: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and population variance of the valid samples, `[M, ...]` each, float64."""
    samples = samples.to(torch.float64)
    weight = valid.to(torch.float64).view(*valid.shape, *(1,) * (samples.dim() - 2))
    mean = (samples * weight).sum(1) / count
    return mean, ((samples - mean.unsqueeze(1)).square() * weight).sum(1) / count


def _pixel_moments(samples: Tensor, valid: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """The same for uint8, several times as fast.

    Sums of such small whole numbers are exact in float32 up to 258 samples, and off by 1e-7 of themselves beyond.
    """
    pixels, weight = samples.flatten(2).to(torch.float32), valid.to(torch.float32).unsqueeze(1)
    shape = (len(samples), *samples.shape[2:])
    mean = torch.bmm(weight, pixels).to(torch.float64).view(shape) / count
    mean_square = torch.bmm(weight, pixels.square_()).to(torch.float64).view(shape) / count
    return mean, (mean_square - mean.square()).clamp_(min=0.0)


def mean_weights(valid: Tensor, process_group: ProcessGroup = SINGLE_PROCESS) -> Tensor:
    """What makes a weighted sum the mean over a member's valid entries: `[M, B]` -> `[M, B]`; 0 if none is valid.

    With process_group, the mean is over the entries of all of them.
    """
    return valid / process_group.sum(valid.sum(-1, keepdim=True)).clamp(min=1.0)


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean over the valid entries of each member: `[..., B]`, `[..., B]` -> `[...]`; 0 where nothing is valid.

    `valid` has the dtype of `values`, holding ones and zeros.
    """
    return (values * valid).sum(-1) / valid.sum(-1).clamp(min=1.0)


def explained_variance(values: Tensor, returns: Tensor, valid: Tensor) -> Tensor:
    """`1 - Var(returns - values) / Var(returns)` of each member: `[..., M, B]` x 3 -> `[..., M]`.

    1 is a perfect critic, 0 one that predicts the mean, below 0 worse than that. NaN where the returns do not vary.
    """
    residual = returns - values
    residual_variance = masked_mean((residual - masked_mean(residual, valid).unsqueeze(-1)).square(), valid)
    variance = masked_mean((returns - masked_mean(returns, valid).unsqueeze(-1)).square(), valid)
    return torch.where(variance > 0, 1.0 - residual_variance / variance, torch.nan)
