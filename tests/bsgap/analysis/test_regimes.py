import math

import numpy as np
import pytest
from scipy.optimize import minimize

from bsgap.analysis import regimes
from bsgap.errors import UsageError

X = np.arange(4, 15)  # batch sizes 2^4 to 2^14


def log2_steps(x, first, second, slope, c=16.0):
    return c - np.minimum(x, first) - slope * (np.clip(x, first, second) - first)


@pytest.mark.parametrize(
    ("first", "second", "slope"),
    [(7, 11, 0.5), (7, 11, 0.25), (6.5, 10.5, 0.5), (5, 9, 0.7), (7.5, 9.5, 0.3), (6, 14, 0.4), (4, 9, 0.6)],
)
def test_exact_curves_are_recovered(first, second, slope):
    found = regimes(2.0**X, 2 ** log2_steps(X, first, second, slope))
    assert math.log2(found.linear_until) == pytest.approx(first, abs=1e-3)
    assert math.log2(found.flat_from) == pytest.approx(second, abs=1e-3)
    assert found.slope == pytest.approx(slope, abs=1e-3)
    assert math.log2(found.examples) == pytest.approx(16, abs=1e-3)
    assert found.residual < 1e-3
    assert found.largest == 2**14


@pytest.mark.parametrize(
    ("steps", "breaks"),
    [
        (2.0 ** (20 - X), (14, 14)),  # the steps fall as 1/m throughout
        (np.full(len(X), 37.0), (4, 4)),  # they do not fall at all
        (2 ** log2_steps(X, 9, 9, 1), (9, 9)),  # no middle stretch
        (2 ** log2_steps(X, 7, 8, 0.5), (7.5, 7.5)),  # a kink between two points needs no middle stretch either
    ],
)
def test_curves_without_a_middle_stretch(steps, breaks):
    found = regimes(2.0**X, steps)
    assert np.log2([found.linear_until, found.flat_from]) == pytest.approx(breaks, abs=1e-3)
    assert math.isnan(found.slope)
    assert found.residual < 1e-6


def test_noise_is_fitted_as_a_general_minimiser_does():
    y = log2_steps(X, 7, 11, 0.5) + np.random.default_rng(1).normal(0, 0.05, len(X))
    found = regimes(2.0**X, 2**y)

    def squares(at):
        c, first, width, slope = at
        return ((y - log2_steps(X, first, first + width, slope, c)) ** 2).sum()

    best = minimize(squares, (16, 7, 4, 0.5), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-10})
    assert found.residual == pytest.approx(math.sqrt(best.fun / len(X)), rel=1e-2)
    assert math.log2(found.linear_until) == pytest.approx(best.x[1], abs=0.02)
    assert math.log2(found.flat_from) == pytest.approx(best.x[1] + best.x[2], abs=0.02)
    assert found.slope == pytest.approx(best.x[3], abs=0.01)


def test_a_curve_that_rises_or_falls_too_fast_is_held_to_the_regimes():
    found = regimes([1, 2, 4, 8, 16], [100, 20, 4, 2, 4])
    at = np.exp2(np.linspace(-1, 6, 50))
    log_slopes = np.diff(np.log(found.steps(at))) / np.diff(np.log(at))
    assert (log_slopes <= 1e-9).all()
    assert (log_slopes >= -1 - 1e-9).all()
    assert (np.diff(np.abs(log_slopes)) <= 1e-9).all()  # ever flatter


def test_fitted_steps_are_continuous_and_pass_through_exact_points():
    steps = 2 ** log2_steps(X, 6.5, 10.5, 0.5)
    found = regimes(2.0**X, steps)
    assert found.steps(2.0**X) == pytest.approx(steps, rel=1e-3)
    for edge in (found.linear_until, found.flat_from):
        assert found.steps([edge * (1 - 1e-9)])[0] == pytest.approx(found.steps([edge * (1 + 1e-9)])[0])


def test_scales_do_not_matter():
    steps = 2 ** (log2_steps(X, 7, 11, 0.5) + np.random.default_rng(2).normal(0, 0.05, len(X)))
    one, other = regimes(2.0**X, steps), regimes(2.0 ** (X + 3), 10 * steps)
    assert other.linear_until == pytest.approx(8 * one.linear_until)
    assert other.flat_from == pytest.approx(8 * one.flat_from)
    assert (other.slope, other.residual) == pytest.approx((one.slope, one.residual))


def test_several_runs_of_one_batch_size_are_fitted_together():
    steps = 2 ** log2_steps(X, 7, 11, 0.5)
    found = regimes(np.tile(2.0**X, 2), np.concatenate([steps * 1.1, steps / 1.1]))
    assert math.log2(found.linear_until) == pytest.approx(7, abs=1e-3)
    assert found.residual == pytest.approx(math.log2(1.1), rel=1e-3)


@pytest.mark.parametrize(
    ("batches", "steps", "words"),
    [
        ([1, 2, 4], [8, 4, 2], "at least 4 batch sizes .* got 3"),
        ([1, 2, 4, 4], [8, 4, 2, 2], "got 3"),
        ([1, 2, 4, 8], [8, 4, 2], "one number of steps for each"),
        ([1, 2, 4, 8], [8, 4, 2, math.nan], "Leave out the runs"),
        ([1, 2, 4, 8], [8, 4, 2, 0], "positive"),
        ([0, 2, 4, 8], [8, 4, 2, 1], "positive"),
    ],
)
def test_bad_input_says_what_to_do(batches, steps, words):
    with pytest.raises(UsageError, match=words):
        regimes(batches, steps)
