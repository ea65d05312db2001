import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from bsgap.analysis import Interval, mean_interval, mean_std, paired_interval, slope_interval, verdict
from bsgap.errors import UsageError

A = [0.981, 0.979, 0.984, 0.975, 0.990]
B = [0.962, 0.971, 0.958, 0.969, 0.960]


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize("n", [2, 3, 5])
def test_difference_is_scipys_paired_interval(n, level):
    found = paired_interval(A[:n], B[:n], level=level)
    expected = stats.ttest_rel(A[:n], B[:n]).confidence_interval(level)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert found.estimate == pytest.approx(np.mean(A[:n]) - np.mean(B[:n]))
    assert (found.n, found.effect, found.level) == (n, "difference", level)


def test_ratio_is_scipys_paired_interval_of_the_logs():
    found = paired_interval(A, B, "ratio")
    expected = stats.ttest_rel(np.log(A), np.log(B)).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((math.exp(expected.low), math.exp(expected.high)), rel=1e-9)
    assert found.estimate == pytest.approx(stats.gmean(np.divide(A, B)))


def test_ratio_turned_round_is_the_inverse():
    forth, back = paired_interval(A, B, "ratio"), paired_interval(B, A, "ratio")
    assert (back.estimate, back.low, back.high) == pytest.approx((1 / forth.estimate, 1 / forth.high, 1 / forth.low))


def test_mean_interval_is_scipys_t_interval():
    found = mean_interval(A)
    expected = stats.t.interval(0.95, len(A) - 1, loc=np.mean(A), scale=stats.sem(A))
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-9)


def test_closed_form_of_two_seeds():
    # One degree of freedom is Cauchy's distribution: t = tan(0.475 π); s / √2 = |d1 - d2| / 2.
    found = paired_interval([3.0, 5.0], [1.0, 1.0])
    half = math.tan(0.475 * math.pi) * 1.0
    assert (found.estimate, found.low, found.high) == pytest.approx((3, 3 - half, 3 + half))


def test_closed_form_of_three_seeds():
    # Two degrees of freedom: t = (2p - 1) / sqrt(2 p (1 - p)) with p = 0.975.
    t = 0.95 / math.sqrt(2 * 0.975 * 0.025)
    found = mean_interval([1.0, 2.0, 3.0])
    assert found.high == pytest.approx(2 + t / math.sqrt(3))


def test_coverage_is_that_of_the_level():
    draws = np.random.default_rng(0).normal(1.0, 2.0, size=(2000, 4))
    inside = [low < 1.0 < high for low, high in ((i.low, i.high) for i in map(mean_interval, draws))]
    assert np.mean(inside) == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / 2000))


def test_pairs_by_seed_whatever_the_order():
    by_seed = paired_interval(dict(enumerate(A)), dict(reversed(list(enumerate(B)))))
    assert by_seed == paired_interval(A, B)


def test_seeds_of_one_side_are_counted():
    found = paired_interval({0: 1.0, 1: 2.0, 2: 4.0, 7: 9.0}, {0: 0.5, 1: 1.0, 2: 3.0, 8: 9.0})
    assert (found.n, found.unpaired, found.excluded) == (3, 2, 0)
    assert "2 without a partner" in str(found)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("effect", ["difference", "ratio"])
def test_diverged_runs_are_left_out_and_said(effect, bad):
    found = paired_interval([*A, 1.0], [*B, bad], effect)
    clean = paired_interval(A, B, effect)
    assert (found.estimate, found.low, found.high, found.n) == (clean.estimate, clean.low, clean.high, clean.n)
    assert found.excluded == 1
    assert "1 diverged pair left out" in str(found)


def test_survivors_alone_decide_nothing():
    interval = paired_interval([*A, math.nan], [*B, 0.9])
    assert interval.low > 0
    assert verdict(interval, 0.0) == "inconclusive"


def test_all_diverged_is_inconclusive_and_no_runs_is_not_run():
    assert verdict(paired_interval([math.nan] * 3, [1.0] * 3), 0.0) == "inconclusive"
    assert verdict(paired_interval([], []), 0.0) == "not run"
    assert verdict(None, 0.0) == "not run"


def test_no_spread_is_a_point():
    found = paired_interval([0.3] * 3, [0.1] * 3)
    assert found.low == found.estimate == found.high == pytest.approx(0.2)
    assert verdict(found, 0.1) == "reproduced"
    assert verdict(found, 0.3) == "not reproduced"


@pytest.mark.parametrize("effect", ["difference", "ratio"])
def test_one_seed_shows_no_spread(effect):
    found = paired_interval([2.0], [1.0], effect)
    assert found.low == (0 if effect == "ratio" else -math.inf)
    assert found.high == math.inf
    assert verdict(found, 1.5) == "inconclusive"


@pytest.mark.parametrize("values", [([1.0, 0.0], [1.0, 1.0]), ([1.0, 1.0], [1.0, -2.0])])
def test_ratio_needs_positive_values(values):
    with pytest.raises(UsageError, match="positive"):
        paired_interval(*values, "ratio")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: paired_interval([1.0], [1.0, 2.0]), "equal lengths"),
        (lambda: paired_interval({0: 1.0}, [1.0]), "both"),
        (lambda: paired_interval(A, B, "quotient"), "difference or ratio"),
        (lambda: paired_interval(A, B, level=95), "between 0 and 1"),
        (lambda: slope_interval([1, 1], [[1, 2]]), "two different"),
        (lambda: slope_interval([1, 2], [[1, 2, 3]]), "2 values"),
        (lambda: verdict(mean_interval(A), 0.0, min_seeds=2), "at least 3"),
        (lambda: verdict(mean_interval(A), 0.0, "above"), "greater, less or within"),
        (lambda: verdict(mean_interval(A), math.nan), "finite"),
        (lambda: verdict(mean_interval(A), 0.0, "within"), "positive minimal"),
        (lambda: verdict(paired_interval(A, B, "ratio"), 0.5, "within"), "above 1"),
        (lambda: verdict(paired_interval(A, B, "ratio"), 0.0), "positive"),
    ],
)
def test_bad_input_says_what_to_do(call, words):
    with pytest.raises(UsageError, match=words):
        call()


def test_slope_is_scipys_least_squares():
    x = [4.0, 5.0, 6.0, 8.0]
    curves = np.random.default_rng(1).normal(size=(5, 4))
    slopes = [stats.linregress(x, row).slope for row in curves]
    found, expected = slope_interval(x, curves), mean_interval(slopes)
    assert (found.estimate, found.low, found.high) == pytest.approx((expected.estimate, expected.low, expected.high))


def test_slope_of_equal_values_is_nothing_at_all():
    assert slope_interval(np.log([16, 256, 512]), [[np.log(0.03)] * 3]).estimate == 0


def test_slope_leaves_out_broken_curves():
    found = slope_interval([0, 1], [[0, 1], [0, 2], [0, math.nan], [0, 3]])
    assert (found.estimate, found.n, found.excluded, found.effect) == (pytest.approx(2), 3, 1, "slope")


@pytest.mark.parametrize("minimal", [0.5, 0.0, -0.5])
@pytest.mark.parametrize(
    ("low", "high", "greater", "less"),
    [
        (0.1, 0.9, "reproduced", "not reproduced"),
        (-0.9, -0.1, "not reproduced", "reproduced"),
        (-0.1, 0.1, "inconclusive", "inconclusive"),
        (0.0, 0.1, "inconclusive", "inconclusive"),  # touching the minimal size is not beyond it
        (-0.1, 0.0, "inconclusive", "inconclusive"),
    ],
)
def test_verdict_by_side(low, high, greater, less, minimal):
    interval = Interval(minimal + (low + high) / 2, minimal + low, minimal + high, 5)
    assert verdict(interval, minimal, "greater") == greater
    assert verdict(interval, minimal, "less") == less


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.5, 0.9, "reproduced"),
        (-1.0, 0.9, "inconclusive"),
        (0.5, 1.5, "inconclusive"),
        (1.1, 1.5, "not reproduced"),
        (-3.0, -1.1, "not reproduced"),
        (-3.0, 3.0, "inconclusive"),
    ],
)
def test_verdict_within(low, high, expected):
    assert verdict(Interval((low + high) / 2, low, high, 3), 1.0, "within") == expected


def test_verdict_within_a_ratio_is_symmetric():
    for low, high, expected in [(0.6, 1.9, "reproduced"), (0.4, 1.9, "inconclusive"), (0.1, 0.4, "not reproduced")]:
        assert verdict(Interval(1, low, high, 3, effect="ratio"), 2.0, "within") == expected
        assert verdict(Interval(1, 1 / high, 1 / low, 3, effect="ratio"), 2.0, "within") == expected


def test_few_seeds_are_inconclusive():
    assert verdict(mean_interval([5.0, 5.1]), 1.0) == "inconclusive"
    assert verdict(mean_interval([5.0, 5.1, 5.2]), 1.0) == "reproduced"
    assert verdict(mean_interval([5.0, 5.1, 5.2]), 1.0, min_seeds=5) == "inconclusive"


def test_mean_std_is_the_sample_deviation():
    found = mean_std([*A, math.nan])
    assert (found.mean, found.std) == pytest.approx((np.mean(A), np.std(A, ddof=1)))
    assert (found.n, found.excluded) == (5, 1)
    assert str(found) == "0.9818 ± 0.0056 (n = 5, 1 diverged run left out)"


def test_mean_std_of_one_and_of_none():
    assert (mean_std([2.0]).mean, mean_std({3: 2.0}).n) == (2.0, 1)
    assert math.isnan(mean_std([2.0]).std)
    assert math.isnan(mean_std([]).mean)
    assert str(mean_std([2.0])) == "2 (n = 1)"


def test_analysis_needs_no_torch():
    code = "import sys, bsgap.analysis; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
