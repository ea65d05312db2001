import math

import numpy as np
import pytest

from bsgap.analysis import Crossing, speedup
from bsgap.errors import UsageError


def at(step, last_step=1000, threshold=0.5, diverged=False):
    return Crossing(step, last_step, threshold, diverged)


def test_definitions():
    # s = k(m0) / k(m), ideal m / m0, efficiency their quotient, cost m k(m).
    found = speedup({(32, 0): at(640.0), (64, 0): at(320.0), (128, 0): at(240.0)})
    assert found["batch"].tolist() == [32, 64, 128]
    assert found["steps"].tolist() == [640, 320, 240]
    assert found["speedup"].tolist() == pytest.approx([1, 2, 640 / 240])
    assert found["ideal"].tolist() == [1, 2, 4]
    assert found["efficiency"].tolist() == pytest.approx([1, 1, 2 / 3])
    assert found["cost"].tolist() == [32 * 640, 64 * 320, 128 * 240]
    assert found["cost_ratio"].tolist() == pytest.approx([1, 1, 1.5])
    assert found["reached"].all()
    assert found[["speedup_bound", "cost_bound"]].isna().all(axis=None)
    assert (found["threshold"] == 0.5).all()


def test_cost_ratio_is_the_inverse_of_the_efficiency():
    steps = np.random.default_rng(0).uniform(10, 1000, size=6)
    found = speedup({(2**k, 0): at(float(steps[k])) for k in range(6)})
    assert found["cost_ratio"].tolist() == pytest.approx((1 / found["efficiency"]).tolist())


def test_each_seed_has_its_own_baseline_and_rows_may_come_in_any_order():
    rows = [(64, 1, at(10.0)), (32, 0, at(40.0)), (64, 0, at(20.0)), (32, 1, at(40.0))]
    found = speedup(iter(rows))
    assert found[["batch", "seed"]].values.tolist() == [[32, 0], [32, 1], [64, 0], [64, 1]]
    assert found["speedup"].tolist() == [1, 1, 2, 4]
    assert found.equals(speedup({(batch, seed): crossing for batch, seed, crossing in rows}))


def test_censored_runs_keep_a_bound():
    found = speedup({(32, 0): at(640.0), (64, 0): at(None, 800)}).iloc[1]
    assert not found["reached"]
    assert math.isnan(found["speedup"])
    assert math.isnan(found["cost"])
    assert found["speedup_bound"] == 640 / 800
    assert found["cost_bound"] == 64 * 800


def test_diverged_runs_are_marked():
    found = speedup({(32, 0): at(640.0), (64, 0): at(None, 20, diverged=True), (128, 0): at(None, 0, diverged=True)})
    assert found["diverged"].tolist() == [False, True, True]
    assert found["speedup_bound"].tolist()[1:] == [32, math.inf]


@pytest.mark.parametrize(
    ("crossings", "words"),
    [
        ({}, "at least two batch sizes, got no run"),
        ({(64, 0): at(5.0), (64, 1): at(6.0)}, "at least two batch sizes, got batch 64 alone"),
        ([(64, 0, at(5.0)), (128, 0, at(4.0)), (64, 0, at(5.0))], "two runs of batch 64 and seed 0"),
        ({(64, 0): at(5.0), (128, 0): at(4.0, threshold=0.25)}, "different thresholds .* got 0.25, 0.5"),
        ({(64, 0): at(None), (128, 0): at(4.0)}, "never reached the threshold 0.5 with seed 0"),
        ({(64, 0): at(5.0), (128, 1): at(4.0)}, "seed 1 has no run at the smallest batch size, 64"),
        ({(64, 0): at(0.0), (128, 0): at(4.0)}, "before its first step"),
    ],
)
def test_bad_input_says_what_to_do(crossings, words):
    with pytest.raises(UsageError, match=words) as raised:
        speedup(crossings)
    assert "\n" not in str(raised.value)
