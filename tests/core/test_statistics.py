from __future__ import annotations

import numpy as np
import pytest
import torch

from acexp.core.statistics import initial_moments, merge


def test_pixels_merge_as_any_other_numbers() -> None:
    rng = np.random.default_rng(5)
    moments, plain = initial_moments(2, (3, 4)), initial_moments(2, (3, 4))
    for size in (40, 700):
        pixels = torch.from_numpy(rng.integers(0, 256, (2, size, 3, 4), dtype=np.uint8))
        valid = torch.from_numpy(rng.random((2, size)) < 0.8)
        moments, plain = merge(moments, pixels, valid), merge(plain, pixels.to(torch.float64), valid)
    torch.testing.assert_close(moments.mean, plain.mean, rtol=1e-6, atol=0.0)
    torch.testing.assert_close(moments.variance, plain.variance, rtol=1e-5, atol=0.0)
    assert torch.equal(moments.n_samples, plain.n_samples)


def test_batches_merge_to_the_moments_of_everything_valid() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(3.0, 2.0, (5, 2, 40, 3))
    valid = rng.random((5, 2, 40)) < 0.7
    moments = initial_moments(2, (3,))
    for batch, mask in zip(samples, valid, strict=True):
        moments = merge(moments, torch.from_numpy(batch), torch.from_numpy(mask))
    for member in range(2):
        seen = np.concatenate([batch[member][mask[member]] for batch, mask in zip(samples, valid, strict=True)])
        # The prior of weight 1e-4 (mean 0, variance 1) is their only difference.
        assert moments.mean[member].numpy() == pytest.approx(seen.mean(0), rel=1e-5)
        assert moments.variance[member].numpy() == pytest.approx(seen.var(0), rel=1e-4)
        assert float(moments.n_samples[member]) == pytest.approx(len(seen), abs=1e-3)


def test_a_member_without_valid_samples_keeps_what_it_knows() -> None:
    before = merge(initial_moments(2, ()), torch.tensor([[1.0, 3.0], [1.0, 3.0]]), torch.ones(2, 2, dtype=torch.bool))
    after = merge(before, torch.full((2, 1), 1e9), torch.tensor([[False], [True]]))
    assert after.mean[0] == before.mean[0]
    assert after.variance[0] == before.variance[0]
    assert after.mean[1] > 1e8


def test_large_offsets_lose_nothing() -> None:
    """In float32, a sum of squares would be all noise at an offset of 10^6."""
    moments = initial_moments(1, ())
    for _ in range(100):
        moments = merge(moments, torch.tensor([[1e6 - 1.0, 1e6 + 1.0]]), torch.ones(1, 2, dtype=torch.bool))
    # the prior's weight of 1e-4 at a distance of 10^6 adds about 1e-4 * 10^12 / 200
    prior = 1e-4 * 1e12 * 200 / (200 + 1e-4) ** 2
    assert float(moments.variance[0]) == pytest.approx(1.0 + prior, rel=1e-4)
