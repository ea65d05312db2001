import math

import numpy as np
import pandas as pd
import pytest

from bsgap.analysis import Crossing, Curve, smooth, steps_to
from bsgap.analysis.curves import every_step
from bsgap.errors import UsageError

NAN, INF = math.nan, math.inf


def power_law(steps, exponent=0.4):
    """L(t) = 2.3 (1 + t)^-a, which falls below ε at t = (2.3 / ε)^(1/a) - 1."""
    return 2.3 * (1 + np.asarray(steps)) ** -exponent


def log_spaced(last, per_doubling=4):
    return [0, *sorted({math.ceil(2 ** (k / per_doubling)) for k in range(int(per_doubling * math.log2(last)) + 1)})]


@pytest.mark.parametrize("threshold", [1.5, 1.0, 0.4, 0.15])
def test_dense_and_log_spaced_curves_give_the_same_step(threshold):
    exact = (2.3 / threshold) ** 2.5 - 1
    dense = steps_to(Curve(range(4097), power_law(range(4097))), threshold).step
    sparse = steps_to(Curve(log_spaced(4096), power_law(log_spaced(4096))), threshold).step
    assert dense == pytest.approx(exact, rel=5e-3)
    assert sparse == pytest.approx(exact, rel=1e-2)


def test_a_loss_linear_in_log_step_is_crossed_exactly():
    steps = [1, 3, 10, 200, 900]
    found = steps_to(Curve(steps, 3 - 0.4 * np.log(steps)), 1.0)
    assert found.step == pytest.approx(math.exp(2 / 0.4))
    assert (found.reached, found.last_step, found.threshold, found.diverged) == (True, 900, 1.0, False)


def test_before_the_first_step_the_loss_is_linear_in_the_step():
    assert steps_to(Curve([0, 8, 16], [3.0, 1.0, 0.5]), 2.0).step == pytest.approx(4)


def test_the_first_crossing_counts():
    assert steps_to(Curve([1, 2, 4, 8, 16], [3.0, 1.0, 3.0, 1.0, 0.5]), 1.0).step == 2


def test_touching_the_threshold_reaches_it():
    assert steps_to(Curve([1, 2, 4], [3.0, 2.0, 2.5]), 2.0).step == pytest.approx(2)


@pytest.mark.parametrize(("steps", "first"), [([0, 5], 0), ([20, 40], 20)])
def test_a_curve_that_begins_below_has_reached_it_by_its_first_evaluation(steps, first):
    assert steps_to(Curve(steps, [0.5, 0.4]), 1.0).step == first


def test_smoothing_drops_a_single_dip():
    curve = Curve([1, 2, 4, 8, 16, 32], [3.0, 2.8, 0.9, 2.4, 0.95, 0.9])
    assert steps_to(curve, 1.0).step < 4
    share = (2.4 - 1.0) / (2.4 - 0.95)  # the medians are 3, 2.8, 2.4, 0.95, 0.95, 0.9
    assert steps_to(curve, 1.0, window=3).step == pytest.approx(4 ** (1 - share) * 8**share)


@pytest.mark.parametrize("window", [3, 5, 9])
def test_running_median_is_pandas_where_the_window_is_whole(window):
    losses = np.random.default_rng(3).normal(size=40)
    found = smooth(Curve(range(40), losses), window).losses
    expected = pd.Series(losses).rolling(window, center=True).median()
    half = window // 2
    assert found[half:-half].tolist() == expected[half:-half].tolist()
    assert (found[0], found[-1]) == (losses[0], losses[-1])
    assert found[1] == np.median(losses[:3])


def test_a_falling_curve_is_its_own_median():
    curve = Curve(range(30), power_law(range(30)))
    assert smooth(curve, 7).losses.tolist() == curve.losses.tolist()


def test_a_run_that_never_gets_there_is_censored():
    assert steps_to(Curve([0, 10, 100], [2.0, 1.5, 1.2]), 1.0) == Crossing(None, 100, 1.0)


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_a_run_has_diverged_from_its_first_loss_that_is_no_number(bad):
    curve = Curve([0, 1, 2, 4, 8], [2.3, 2.0, bad, 0.1, 0.1])
    assert curve.diverged
    assert curve.finite == 2
    assert steps_to(curve, 1.0) == Crossing(None, 1, 1.0, diverged=True)
    assert steps_to(curve, 2.1).reached
    assert smooth(curve, 3).losses[:2].tolist() == [2.3, 2.0]


def test_a_run_without_any_finite_loss():
    assert steps_to(Curve([0, 1], [NAN, NAN]), 1.0) == Crossing(None, 0, 1.0, diverged=True)


def test_a_run_can_be_ended_as_diverged_with_a_finite_loss():
    curve = Curve([0, 1, 2], [2.3, 2.0, 1e6], diverged=True)
    assert steps_to(curve, 1.0) == Crossing(None, 2, 1.0, diverged=True)
    assert smooth(curve).diverged


def test_losses_at_every_step():
    found = every_step(Curve([0, 2, 8], [4.0, 3.0, 1.0]))
    expected = [3.5, *(3 - 2 * math.log(step / 2) / math.log(4) for step in range(2, 9))]
    assert found == pytest.approx(expected)
    assert len(every_step(Curve([5, 9], [2.0, 1.0]))) == 5


def test_a_curve_cannot_be_changed():
    losses = np.array([2.0, 1.0])
    curve = Curve([1, 2], losses)
    losses[0] = 9
    assert curve.losses[0] == 2
    with pytest.raises(ValueError, match="read-only"):
        curve.losses[0] = 9


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Curve([], []), "one loss for each step"),
        (lambda: Curve([1, 2], [1.0]), "one loss for each step"),
        (lambda: Curve([1, 1], [1.0, 2.0]), "increase, got 1 and then 1"),
        (lambda: Curve([1, 2, 4, 3], [1.0, 2.0, 3.0, 4.0]), "got 4 and then 3"),
        (lambda: Curve([-1, 2], [1.0, 2.0]), "0 or more"),
        (lambda: Curve([0.5, 2], [1.0, 2.0]), "whole numbers"),
        (lambda: Curve([1, NAN], [1.0, 2.0]), "whole numbers"),
        (lambda: smooth(Curve([1, 2], [1.0, 2.0]), 2), "odd"),
        (lambda: smooth(Curve([1, 2], [1.0, 2.0]), -1), "odd"),
        (lambda: steps_to(Curve([1, 2], [1.0, 2.0]), NAN), "finite loss"),
        (lambda: every_step(Curve([1, 2], [1.0, NAN])), "diverged"),
        (lambda: every_step(Curve([0], [1.0])), "step 1 or later"),
    ],
)
def test_bad_input_says_what_to_do(call, words):
    with pytest.raises(UsageError, match=words):
        call()
