"""Formulas over all environments against those that Gymnasium evaluates for a single one: the same bits."""

from __future__ import annotations

import numpy as np

from acexp.engines.mujoco_control import length, squared


def test_squares_are_those_of_single_numbers() -> None:
    """Of `x * x`, some differ from them in the last bit."""
    values = np.append(np.random.default_rng(0).standard_normal(20_000), [0.0, -1e160])
    with np.errstate(over="ignore"):
        assert np.array_equal(squared(values), np.array([value**2 for value in values]))


def test_lengths_are_those_of_single_vectors() -> None:
    vectors = np.random.default_rng(1).standard_normal((5_000, 3))
    assert np.array_equal(length(vectors), np.array([np.linalg.norm(vector) for vector in vectors]))
