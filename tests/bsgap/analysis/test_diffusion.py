import math

import numpy as np
import pytest
from scipy.optimize import curve_fit
from scipy.stats import linregress

from bsgap.analysis import log_time_fit
from bsgap.errors import UsageError

STEPS = np.array([1, 2, 3, 4, 6, 8, 12, 16, 23, 32, 46, 64, 91, 128, 200])


def noisy(law, seed=0, noise=0.05):
    return law(STEPS) + np.random.default_rng(seed).normal(0, noise, len(STEPS))


def test_a_logarithm_is_found_exactly():
    found = log_time_fit(STEPS, 0.7 + 1.3 * np.log(STEPS))
    assert (found.slope, found.intercept, found.r_squared) == pytest.approx((1.3, 0.7, 1))
    assert (found.n, found.low, found.high) == (15, 1, 200)
    assert found.logarithmic
    assert found.distance([1, math.e]) == pytest.approx([0.7, 2.0])


@pytest.mark.parametrize("power", [0.25, 0.5, 1.0, 2.0])
def test_a_power_is_found_exactly_and_not_called_logarithmic(power):
    found = log_time_fit(STEPS, 0.3 * STEPS**power)
    assert (found.power, found.coefficient, found.power_r_squared) == pytest.approx((power, 0.3, 1))
    assert (found.sqrt_r_squared == pytest.approx(1)) == (power == 0.5)
    assert not found.logarithmic


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("law", [lambda t: 1 + 0.8 * np.log(t), lambda t: 0.4 * t**0.4])
def test_both_fits_are_those_of_scipy(law, seed):
    distances = noisy(law, seed)
    found = log_time_fit(STEPS, distances)
    line = linregress(np.log(STEPS), distances)
    assert (found.slope, found.intercept) == pytest.approx((line.slope, line.intercept))
    assert found.r_squared == pytest.approx(line.rvalue**2)
    (coefficient, power), _ = curve_fit(lambda t, c, p: c * t**p, STEPS, distances, p0=(1, 0.3))
    assert (found.coefficient, found.power) == pytest.approx((coefficient, power), rel=1e-5)
    residual = ((distances - coefficient * STEPS**power) ** 2).sum()
    total = ((distances - distances.mean()) ** 2).sum()
    assert found.power_r_squared == pytest.approx(1 - residual / total, rel=1e-9)
    (root,), _ = curve_fit(lambda t, c: c * np.sqrt(t), STEPS, distances)
    assert found.sqrt_r_squared == pytest.approx(1 - ((distances - root * np.sqrt(STEPS)) ** 2).sum() / total, rel=1e-6)
    assert found.logarithmic == (found.r_squared > found.power_r_squared)


def test_only_the_steps_of_the_range_count():
    distances = np.where(STEPS < 8, 100.0, 2 * np.log(STEPS))
    found = log_time_fit(STEPS, distances, low=8, high=128)
    assert (found.slope, found.intercept) == pytest.approx((2, 0), abs=1e-9)
    assert (found.n, found.low, found.high) == (9, 8, 128)


def test_late_steps_of_a_long_run_make_no_number_too_large():
    steps = np.geomspace(1e6, 1e12, 20)
    found = log_time_fit(steps, np.log(steps))
    assert found.slope == pytest.approx(1)
    assert all(math.isfinite(value) for value in (found.power, found.coefficient, found.power_r_squared))


def test_distances_that_do_not_change_are_explained_by_nothing():
    found = log_time_fit([1, 2, 3], [2, 2, 2])
    assert (found.slope, found.intercept) == pytest.approx((0, 2))
    assert math.isnan(found.r_squared)
    assert not found.logarithmic


@pytest.mark.parametrize(
    ("steps", "distances", "words"),
    [
        ([1, 2], [1, 2], "3 different steps at least, got 2"),
        ([1, 1, 2], [1, 1, 2], "got 2"),
        ([], [], "got 0"),
        ([0, 1, 2], [0, 1, 2], "positive, got 0"),
        ([1, 2, 3], [1, 2], r"shapes \(3,\) and \(2,\)"),
        ([1, 2, 3], [1, math.nan, 2], "finite"),
    ],
)
def test_what_cannot_be_fitted(steps, distances, words):
    with pytest.raises(UsageError, match=words):
        log_time_fit(steps, distances)


def test_a_range_that_holds_too_few_steps_is_named():
    with pytest.raises(UsageError, match=r"low: 100, high: None"):
        log_time_fit(STEPS, STEPS, low=100)
