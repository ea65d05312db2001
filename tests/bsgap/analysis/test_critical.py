import math

import numpy as np
import pytest
from scipy.optimize import least_squares

from bsgap.analysis import critical_batch
from bsgap.errors import UsageError

M = 2.0 ** np.arange(4, 13)


@pytest.mark.parametrize("b", [0.5, 30, 900, 1e5])
def test_exact_curves_are_recovered(b):
    found = critical_batch(M, 70 * (1 + b / M))
    assert (found.k_min, found.critical_batch) == pytest.approx((70, b), rel=1e-6)
    assert found.residual < 1e-6


def test_noise_is_fitted_as_scipy_does():
    steps = 70 * (1 + 300 / M) * np.exp(np.random.default_rng(0).normal(0, 0.1, len(M)))
    best = least_squares(lambda at: at[0] + np.logaddexp(0, at[1] - np.log(M)) - np.log(steps), (4.0, 5.0), xtol=1e-12)
    found = critical_batch(M, steps)
    assert (found.k_min, found.critical_batch) == pytest.approx(np.exp(best.x), rel=1e-4)
    assert found.residual == pytest.approx(math.sqrt(np.mean(best.fun**2)) / math.log(2), rel=1e-6)


def test_at_the_critical_batch_steps_and_examples_are_twice_their_least():
    found = critical_batch(M, 70 * (1 + 300 / M))
    b = found.critical_batch
    assert found.k_min * (1 + b / b) == pytest.approx(2 * found.k_min)
    assert b * 2 * found.k_min == pytest.approx(2 * 70 * 300)  # E_min = k_min B_crit


def test_limits_that_the_data_do_not_bound():
    linear, flat = critical_batch(M, 2**20 / M), critical_batch(M, np.full(len(M), 5.0))
    assert (linear.k_min, linear.critical_batch) == (0, math.inf)
    assert (flat.k_min, flat.critical_batch) == (pytest.approx(5), 0)
    assert max(linear.residual, flat.residual) < 1e-9


@pytest.mark.parametrize(
    ("batches", "steps", "words"),
    [
        ([1, 2], [8, 4], "at least 3 batch sizes"),
        ([1, 2, 4], [8, 4, math.inf], "finite"),
        ([1, 2, 4], [8, 4], "one number of steps"),
    ],
)
def test_bad_input_says_what_to_do(batches, steps, words):
    with pytest.raises(UsageError, match=words):
        critical_batch(batches, steps)
