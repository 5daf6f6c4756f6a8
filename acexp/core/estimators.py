"""Summary statistics of many returns, as pure functions of float64 NumPy arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Summary(NamedTuple):
    """Summary statistics of n numbers; `std` is the sample standard deviation (divisor n - 1), 0 for one number."""

    n: int
    mean: float
    std: float
    median: float
    iqm: float
    min: float
    max: float


def summarize(x: ArrayLike) -> Summary:
    """Return the summary of at least one number. Raises ValueError if there is none."""
    values = np.asarray(x, np.float64).reshape(-1)
    if not values.size:
        raise ValueError("there is nothing to summarize")
    return Summary(
        n=values.size,
        mean=float(values.mean()),
        std=float(values.std(ddof=1)) if values.size > 1 else 0.0,
        median=float(np.median(values)),
        iqm=float(iqm(values)),
        min=float(values.min()),
        max=float(values.max()),
    )


def iqm(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the interquartile mean (Agarwal et al., 2021) of the last axis: the mean of the middle half.

    The lowest and the highest quarter are left out; the size of a quarter is rounded down, as in
    `scipy.stats.trim_mean(x, 0.25)`.
    """
    cut = x.shape[-1] // 4
    result: NDArray[np.float64] = np.sort(x, axis=-1)[..., cut : x.shape[-1] - cut].mean(-1)
    return result
