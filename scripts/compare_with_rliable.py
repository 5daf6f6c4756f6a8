"""Compare the report's point values with rliable's (Agarwal et al., 2021) on random scores, in `make rliable`."""

from __future__ import annotations

import numpy as np
from rliable import library, metrics

from acexp.core.estimators import iqm
from acexp.report.inference import mean, probability_of_improvement, profile

N_RUNS, N_ENVIRONMENTS = 11, 4


def main() -> None:
    """Raise AssertionError if a value differs."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        x, y = rng.normal(size=(2, N_RUNS, N_ENVIRONMENTS)).round(1)  # rounded, so that there are ties
        np.testing.assert_allclose(mean(x.ravel()), metrics.aggregate_mean(x), atol=1e-12)
        np.testing.assert_allclose(iqm(x.ravel()), metrics.aggregate_iqm(x), atol=1e-12)
        ours = np.mean([probability_of_improvement(x[:, k], y[:, k]) for k in range(N_ENVIRONMENTS)])
        np.testing.assert_allclose(ours, metrics.probability_of_improvement(x, y), atol=1e-12)
        thresholds = np.linspace(-2.0, 2.0, 41) + 0.05
        theirs = [library.run_score_deviation(x, threshold) for threshold in thresholds]
        np.testing.assert_allclose(profile(x.ravel(), thresholds), theirs, atol=1e-12)
    print("mean, IQM, probability of improvement and performance profiles are rliable's")


if __name__ == "__main__":
    main()
