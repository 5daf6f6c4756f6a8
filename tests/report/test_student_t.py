from __future__ import annotations

import math

import numpy as np
import pytest

from acexp.report.student_t import power, quantile, tail

# From the tables in textbooks.
EXCEEDED_BY_A_FORTIETH = {
    1: 12.7062, 2: 4.30265, 3: 3.18245, 4: 2.77645, 5: 2.57058, 9: 2.26216, 10: 2.22814, 30: 2.04227, 120: 1.97993,
}  # fmt: skip


@pytest.mark.parametrize(("df", "expected"), EXCEEDED_BY_A_FORTIETH.items())
def test_quantiles_of_the_tables(df: int, expected: float) -> None:
    assert quantile(0.025, df) == pytest.approx(expected, abs=6e-6 if df > 1 else 6e-5)


def test_quantiles_in_closed_form() -> None:
    """With 1 degree of freedom t is the tangent of a uniform angle; with 2, P(|t| < q) = q / sqrt(2 + q^2)."""
    for outside in (0.25, 0.01, 1e-4, 1e-6):
        assert quantile(outside, 1.0) == pytest.approx(math.tan(math.pi * (0.5 - outside)), rel=1e-8)
        inside = 1.0 - 2.0 * outside
        assert quantile(outside, 2.0) == pytest.approx(inside * math.sqrt(2.0 / (1.0 - inside**2)), rel=1e-8)


def test_many_degrees_of_freedom_are_the_normal_distribution() -> None:
    assert quantile(0.025, 1e6) == pytest.approx(1.959964, abs=1e-4)


def test_quantiles_between_whole_numbers() -> None:
    """The integral of the density up to the quantile, by the trapezoidal rule."""
    df = 2.5
    x = np.linspace(0.0, quantile(0.025, df), 100_001)
    scale = math.gamma((df + 1) / 2) / math.gamma(df / 2) / math.sqrt(df * math.pi)
    density = scale * (1.0 + x**2 / df) ** (-(df + 1) / 2)
    assert float((density[1:] + density[:-1]).sum() / 2 * x[1]) == pytest.approx(0.475, abs=1e-8)


@pytest.mark.parametrize("df", [1.0, 2.5, 9.0, 300.0])
@pytest.mark.parametrize("probability", [0.4, 0.025, 1e-5])
def test_a_tail_begins_at_its_quantile(df: float, probability: float) -> None:
    assert tail(quantile(probability, df), df) == pytest.approx(probability, rel=1e-8)


@pytest.mark.parametrize("df", [1.0, 2.0, 4.0, 7.5, 60.0])
def test_without_a_shift_the_power_is_the_error(df: float) -> None:
    assert power(0.0, df, 0.025) == pytest.approx(0.025, abs=1e-6)


@pytest.mark.parametrize(("shift", "df"), [(1.0, 3.0), (3.0, 4.0), (2.8, 30.0), (5.0, 2.0)])
def test_the_power_is_how_often_a_shifted_t_exceeds_the_limit(shift: float, df: float) -> None:
    rng = np.random.default_rng(0)
    t = (rng.normal(size=400_000) + shift) / np.sqrt(rng.chisquare(df, 400_000) / df)
    assert power(shift, df, 0.025) == pytest.approx((t > quantile(0.025, df)).mean(), abs=0.003)
