"""Student's t distribution: its quantiles, and the power of a test that compares t with one of them.

SciPy has both, but acexp would need nothing else of it.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)
_NODES, _WEIGHTS = (_NODES + 1.0) / 2.0, _WEIGHTS / 2.0
"""Gauss and Legendre's rule on [0, 1]."""

_MOST_STEPS = 100
_FARTHEST = 8.0
"""The number of standard deviations beyond which a sample deviation is as good as impossible."""


def tail(t: float, df: float) -> float:
    """Return the probability that Student's t with `df` degrees of freedom exceeds `t`, which is not negative."""
    return max(0.0, 0.5 - _inside(math.atan(t / math.sqrt(df)), df))


def _inside(angle: float, df: float) -> float:
    """Return the probability that t lies between 0 and sqrt(df) tan(angle).

    With t = sqrt(df) tan(a), it is the integral of the density of a, which is proportional to cos(a)^(df - 1).
    """
    return _scale(df) * angle * float(_WEIGHTS @ np.cos(angle * _NODES) ** (df - 1.0))


def _scale(df: float) -> float:
    return math.exp(math.lgamma((df + 1.0) / 2.0) - math.lgamma(df / 2.0)) / math.sqrt(math.pi)


@lru_cache(maxsize=4096)
def quantile(probability: float, df: float) -> float:
    """Return the value that Student's t with `df` degrees of freedom exceeds with a probability below 1/2.

    By Newton's method: `_inside` is a concave function of the angle, so that no step from 0 goes too far.
    """
    angle = 0.0
    for _ in range(_MOST_STEPS):
        step = (0.5 - probability - _inside(angle, df)) / (_scale(df) * math.cos(angle) ** (df - 1.0))
        angle += step
        if step <= 1e-14:
            break
    return math.sqrt(df) * math.tan(angle)


def power(shift: float, df: float, probability: float) -> float:
    """Return the probability that a noncentral t, (Z + shift) / S, exceeds the `quantile` with this one.

    Z is a standard normal number and S an independent sample deviation, which is averaged over.
    """
    limit = quantile(probability, df)
    spread = _FARTHEST / math.sqrt(2.0 * df)
    low, high = max(0.0, 1.0 - spread), 1.0 + spread
    deviation = low + (high - low) * _NODES
    logs = (df - 1.0) * np.log(deviation) - df * deviation**2 / 2.0
    density = 2.0 * np.exp(logs + df / 2.0 * math.log(df / 2.0) - math.lgamma(df / 2.0))
    exceeded = [NormalDist().cdf(shift - limit * each) for each in deviation.tolist()]
    return float((high - low) * (_WEIGHTS * density) @ np.array(exceeded))
