import math

import numpy as np
import pytest

from bsgap.analysis import Curve, lower_quartile, steps_to, threshold
from bsgap.errors import UsageError

STEPS = [0, 1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 46, 64, 91, 128, 182, 256]


def falling(scale=1.0, steps=STEPS):
    return Curve(steps, scale * 2.3 / (1 + np.asarray(steps) / 20))


DIVERGED = Curve([0, 1, 2], [2.3, 5.0, math.nan])


def test_quartile_of_a_curve_known_at_every_step_is_numpys():
    losses = np.random.default_rng(0).exponential(size=101)
    assert lower_quartile(Curve(range(101), losses)) == np.percentile(losses[1:], 25)


def test_log_spaced_evaluation_does_not_bias_the_quartile():
    dense = lower_quartile(falling(steps=range(257)))
    assert lower_quartile(falling()) == pytest.approx(dense, rel=0.01)
    assert np.percentile(falling().losses, 25) > 1.3 * dense  # what the bare evaluations would give


def test_a_loss_that_only_falls_reaches_its_quartile_after_three_quarters_of_the_steps():
    curve = falling()
    assert steps_to(curve, lower_quartile(curve)).step == pytest.approx(1 + 0.75 * 255, rel=1e-3)


def test_a_loss_linear_in_the_step_has_its_quartile_in_closed_form():
    # L = 3 - t / 100 at t = 1..100: a quarter lies below 2 + 99 / 400.
    curve = Curve(range(101), 3 - np.arange(101) / 100)
    assert lower_quartile(curve) == pytest.approx(2 + 0.99 / 4)


def test_the_largest_batch_decides_and_its_seeds_are_pooled():
    curves = {64: [falling(0.1)], 1024: [falling(1.0), falling(1.2)], 256: [falling(0.2)]}
    found = threshold(curves)
    one, other = (curve.losses for curve in (falling(1.0, range(257)), falling(1.2, range(257))))
    assert found.value == pytest.approx(np.quantile(np.concatenate([one[1:], other[1:]]), 0.25), rel=0.01)
    assert (found.batch, found.fallback) == (1024, False)
    assert found.rule == "lower quartile of the losses at every step of batch 1024 (2 runs)"


def test_some_run_of_the_deciding_batch_reaches_the_threshold():
    flat = Curve([0, 1, 100], [2.3, 2.0, 2.0])
    assert steps_to(flat, threshold({64: [flat]}).value).reached


def test_diverged_runs_of_the_largest_batch_are_left_out_and_said():
    found = threshold({64: [falling()], 1024: [DIVERGED, falling(1.3)]})
    assert found.value == pytest.approx(lower_quartile(falling(1.3)))
    assert (found.batch, found.fallback) == (1024, False)
    assert "1 diverged left out" in found.rule


def test_the_next_smaller_batch_serves_where_all_diverged():
    found = threshold({64: [falling()], 256: [falling(1.1)], 1024: [DIVERGED] * 2, 4096: [DIVERGED], 8192: []})
    assert found.value == pytest.approx(lower_quartile(falling(1.1)))
    assert (found.batch, found.fallback) == (256, True)
    assert found.rule.endswith("every run of batch 4096, 1024 diverged")


def test_other_quantiles_and_smoothing():
    dip = Curve(range(1, 8), [2.0, 2.0, 0.1, 2.0, 2.0, 0.2, 2.0])
    assert threshold({8: [dip]}, quantile=0.1).value < 1
    found = threshold({8: [dip]}, quantile=0.1, window=3)
    assert found.value == 2.0
    assert found.rule.startswith("10 % quantile")
    assert "running median of 3 evaluations" in found.rule


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: threshold({}), "no run was given"),
        (lambda: threshold({64: []}), "no run was given"),
        (lambda: threshold({64: [DIVERGED], 128: [DIVERGED]}), "every run diverged, at batch sizes 128, 64"),
        (lambda: threshold({64: [falling()]}, quantile=25), "between 0 and 1"),
        (lambda: threshold({64: [falling()]}, window=4), "odd"),
        (lambda: lower_quartile(DIVERGED), "diverged"),
    ],
)
def test_bad_input_says_what_to_do(call, words):
    with pytest.raises(UsageError, match=words):
        call()
