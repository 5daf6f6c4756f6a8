"""What is said of many returns in a few numbers; float64 numpy, no state."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Summary(NamedTuple):
    """Of n numbers; `std` is that of the sample (n - 1), 0 for one number."""

    n: int
    mean: float
    std: float
    median: float
    iqm: float
    min: float
    max: float


def summarize(x: ArrayLike) -> Summary:
    """Of at least one number."""
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
    """The interquartile mean (Agarwal et al., 2021) of the last axis: without the lowest and the highest quarter.

    A quarter is rounded down to whole numbers, as `scipy.stats.trim_mean(x, 0.25)` does.
    """
    cut = x.shape[-1] // 4
    found: NDArray[np.float64] = np.sort(x, axis=-1)[..., cut : x.shape[-1] - cut].mean(-1)
    return found
