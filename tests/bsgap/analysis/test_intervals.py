import math

import numpy as np
import pytest
from scipy import stats

from bsgap.analysis import Crossing, regime_intervals, regimes, speedup
from bsgap.errors import UsageError

X = np.arange(5, 13)
FIRST = {0: 7.0, 1: 7.25, 2: 7.75}  # break points of three seeds, log2
SECOND = {0: 10.0, 1: 10.5, 2: 11.0}


def steps(seed, slope=0.5):
    first, second = FIRST[seed], SECOND[seed]
    return 2 ** (16 - np.minimum(X, first) - slope * (np.clip(X, first, second) - first))


def frame(seeds=FIRST, censored=()):
    return speedup({
        (int(2**x), seed): Crossing(None if (x, seed) in censored else float(k), 3000, 0.5)
        for seed in seeds
        for x, k in zip(X, steps(seed), strict=True)
    })  # fmt: skip


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_break_points_have_students_interval_on_the_log_scale(level):
    found = regime_intervals(frame(), level=level)
    for interval, known in ((found.linear_until, FIRST), (found.flat_from, SECOND)):
        logs = list(known.values())
        low, high = stats.t.interval(level, 2, loc=np.mean(logs), scale=stats.sem(logs))
        assert np.log2([interval.estimate, interval.low, interval.high]) == pytest.approx(
            [np.mean(logs), low, high], abs=3e-3
        )
        assert (interval.n, interval.excluded, interval.level) == (3, 0, level)
    assert found.slope.estimate == pytest.approx(0.5, abs=1e-3)
    assert (found.short, found.censored, found.never_flat) == ((), 0, 0)


def test_fits_of_the_seeds_are_kept():
    found = regime_intervals(frame())
    assert found.seeds == {seed: regimes(2.0**X, steps(seed)) for seed in FIRST}
    assert found.critical_batch.low < found.critical_batch.estimate < found.critical_batch.high


def test_censored_runs_are_left_out_of_the_fit_and_counted():
    found = regime_intervals(frame(censored={(12, 0), (12, 2), (11, 2)}))
    assert found.censored == 3
    assert math.log2(found.seeds[0].linear_until) == pytest.approx(7, abs=1e-3)
    assert found.never_flat == 1  # what is left of seed 2 still falls at 2^10
    assert found.seeds[2].flat_from == found.seeds[2].largest == 2**10


def test_a_seed_with_too_few_batch_sizes_counts_as_left_out():
    found = regime_intervals(frame(censored={(x, 1) for x in range(8, 13)}))
    assert found.short == (1,)
    assert (found.linear_until.n, found.linear_until.excluded) == (2, 1)
    assert (found.critical_batch.n, found.critical_batch.excluded) == (2, 1)


def test_one_seed_shows_no_spread():
    found = regime_intervals(frame(seeds=[0]))
    assert math.log2(found.linear_until.estimate) == pytest.approx(7, abs=1e-3)
    assert (found.linear_until.low, found.linear_until.high) == (0, math.inf)


def test_two_seeds_far_apart_have_a_wide_interval_and_no_warning():
    rows = frame(seeds=[0, 2])
    rows["batch"] = rows["batch"] * np.where(rows["seed"] == 2, 2.0**200, 1.0)
    found = regime_intervals(rows)
    assert (found.flat_from.low, found.flat_from.high) == (0, math.inf)


def test_steps_that_fall_throughout_leave_the_critical_batch_unbounded():
    rows = speedup({(2**k, seed): Crossing(2.0 ** (20 - k), 10**6, 0.5) for k in range(4, 10) for seed in range(3)})
    found = regime_intervals(rows)
    assert found.never_flat == 3
    assert (found.critical_batch.n, found.critical_batch.excluded) == (0, 3)
    assert math.isnan(found.critical_batch.estimate)
    assert found.slope.n == 0


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (lambda: frame().drop(columns="reached"), "without reached"),
        (lambda: frame()[lambda rows: rows["batch"] < 256], "no seed has the 4 batch sizes"),
        (lambda: frame().assign(seed=0), "two runs share"),
    ],
)
def test_bad_input_says_what_to_do(rows, words):
    with pytest.raises(UsageError, match=words):
        regime_intervals(rows())
