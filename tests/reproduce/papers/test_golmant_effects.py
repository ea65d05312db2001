"""What a run that never reached its threshold may and may not say."""

import math

import pytest

from bsgap.analysis import Crossing, speedup
from reproduce.papers.golmant.effects import Effect, Values, at, difference, geometric_mean, judged, ratio

RULE = {"quantity": "what is compared", "scale": "demo"}


def claim(effect, minimal=1.0, **options):
    return judged("id", "statement", "source", "reported", effect, minimal=minimal, **RULE, **options)


@pytest.fixture(scope="module")
def rows():
    """Batch 32 twice as fast as 16, 64 not there by step 20 for seed 1, and diverged for seed 2."""
    steps = {16: (40, 40, 40), 32: (20, 20, 20), 64: (10, None, None)}
    return speedup({
        (batch, seed): Crossing(step, 20 if seed == 1 else 60, 1.0, (batch, seed) == (64, 2))
        for batch, by_seed in steps.items()
        for seed, step in enumerate(by_seed)
    })  # fmt: skip


def test_a_value_is_the_runs_own_or_its_bound_and_a_diverged_run_has_none(rows):
    found = at(rows, 64, "speedup")
    assert (found.of[0], found.of[1]) == (4.0, 2.0)
    assert math.isnan(found.of[2])  # where it broke off bounds nothing
    assert found.bounded == {1}
    cost = at(rows, 64, "cost")
    assert (cost.of[0], cost.of[1], cost.bounded) == (640.0, 64 * 20, {1})
    assert at(rows, 128, "speedup") == Values({})


def test_a_geometric_mean_is_bounded_where_a_part_of_it_is(rows):
    found = geometric_mean(rows, [32, 64], "speedup")
    assert (found.of[0], found.of[1]) == pytest.approx((8**0.5, 2.0))
    assert math.isnan(found.of[2])
    assert found.bounded == {1}
    assert geometric_mean(rows, [32, 128], "speedup") == Values({})


def test_effects_are_paired_by_seed():
    a, b = Values({0: 4.0, 1: 8.0, 2: 1.0}), Values({0: 2.0, 1: 2.0, 3: 1.0})
    assert ratio(a, b).interval.estimate == pytest.approx(8**0.5)
    assert difference(a, b).interval.estimate == 4.0
    assert ratio(a, 2.0).interval.estimate == pytest.approx((32 / 8) ** (1 / 3))
    assert (ratio(a, b).bounded, ratio(a, b).dropped) == (0, 0)


def test_a_bound_is_counted_at_the_left_and_dropped_at_the_right():
    values, bounded = {0: 2.0, 1: 2.0, 2: 2.0}, frozenset({1})
    left, right = ratio(Values(values, bounded), Values(values)), ratio(Values(values), Values(values, bounded))
    assert (left.interval.n, left.bounded, left.dropped) == (3, 1, 0)
    assert (right.interval.n, right.bounded, right.dropped) == (2, 0, 1)
    assert claim(right).rule.endswith("; 1 left out, as the run compared with never reached the threshold")


def test_without_a_number_the_reason_is_given():
    empty = ratio(Values({}), Values({}))
    assert empty == Effect(None)
    assert claim(empty).verdict == "not run"
    lost = ratio(Values({0: 1.0}), Values({0: 1.0}, frozenset({0})))
    assert lost.interval is None
    assert claim(lost).verdict == "inconclusive"
    assert claim(lost).rule.endswith("; the runs compared with never reached the threshold")


# Three seeds, of which one is a bound. The truth is on one side of a bound, so only one verdict can rest on it.


@pytest.mark.parametrize(
    ("value", "bound", "direction", "verdict"),
    [
        (0.5, "upper", "less", "reproduced"),  # at most 0.5, so below 1
        (2.0, "upper", "less", "inconclusive"),  # at most 2: below 1 or not
        (0.5, "upper", "greater", "not reproduced"),
        (2.0, "upper", "greater", "inconclusive"),
        (2.0, "lower", "greater", "reproduced"),  # at least 2, so above 1
        (0.5, "lower", "greater", "inconclusive"),
        (2.0, "lower", "less", "not reproduced"),
        (0.5, "lower", "less", "inconclusive"),
    ],
)
def test_a_bound_speaks_for_its_own_direction_only(value, bound, direction, verdict):
    values = {0: value, 1: value * 1.01, 2: value / 1.01}
    sure = {(True, "less"): "not reproduced", (False, "less"): "reproduced"}.get((value > 1, direction))
    sure = sure or ("reproduced" if value > 1 else "not reproduced")
    assert claim(ratio(Values(values), 1.0), direction=direction).verdict == sure
    found = claim(ratio(Values(values, frozenset({1})), 1.0), direction=direction, bound=bound)
    assert found.verdict == verdict
    assert f"; 1 of the 3 are {bound} bounds, as a run never reached the threshold" in found.rule


@pytest.mark.parametrize("value", [1.0, 9.0])
def test_a_bound_says_nothing_of_two_sides(value):
    effect = ratio(Values({0: value, 1: value, 2: value}, frozenset({0})), 1.0)
    assert claim(effect, 2.0, direction="within").verdict == "inconclusive"
